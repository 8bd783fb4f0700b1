//! Named threads and tasks, their signs of life, systemd's readiness and watchdog.
