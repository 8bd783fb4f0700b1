// The connection to the station: what arrives, and how old it is.

const RETRY_MS = 3000;

/**
 * Watches `api/v1/events`. Calls `handlers.connected()`, `handlers.result(update)`, `handlers.problems(list)`, and `handlers.state(state, ageMs)`
 * at least once a second; states are connecting, waiting (no result yet), live, stale, lost.
 */
export function watch(handlers) {
  let source = null;
  let heardAt = null; // when the server last said anything
  let resultAt = null; // when the shown result was made, by this machine's clock
  let replayAge = null; // the age of the result that follows the hello
  let settings = { stale_after_ms: 60000, beat_ms: 5000 };
  let openedAt = 0;
  let retryAt = 0;

  const heard = (event) => {
    heardAt = Date.now();
    return JSON.parse(event.data);
  };

  function open() {
    source?.close();
    openedAt = Date.now();
    source = new EventSource("api/v1/events");
    source.addEventListener("hello", (event) => {
      const hello = heard(event);
      settings = hello;
      replayAge = hello.age_ms;
      handlers.connected();
    });
    source.addEventListener("result", (event) => {
      const update = heard(event);
      resultAt = Date.now() - (replayAge ?? 0);
      replayAge = null;
      handlers.result(update);
      look();
    });
    source.addEventListener("beat", (event) => handlers.problems(heard(event).problems));
    source.addEventListener("error", () => {
      heardAt = null;
      look();
    });
  }

  function look() {
    const now = Date.now();
    const patience = 3 * settings.beat_ms;
    const silent = heardAt === null || now - heardAt > patience;
    // The browser retries a broken connection by itself, but neither one that was refused nor one that fell silent.
    const hangs = silent && now - openedAt > patience;
    if ((source.readyState === EventSource.CLOSED && now >= retryAt) || hangs) {
      retryAt = now + RETRY_MS;
      open();
    }
    const age = resultAt === null ? null : Math.max(0, now - resultAt);
    if (silent) handlers.state(age === null && now - openedAt < RETRY_MS ? "connecting" : "lost", age);
    else if (age === null) handlers.state("waiting", null);
    else handlers.state(age > settings.stale_after_ms ? "stale" : "live", age);
  }

  open();
  look();
  setInterval(look, 1000);
}
