//! What every request passes before it is answered, and every answer before it leaves.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::refusal::refusal;
use super::settings::ServerSettings;

/// Until the answer begins: the slowest look into a journal on an SD card, far below a person's patience.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Scripts and styles come from this server only, and no script may make markup out of text.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// Which names a request may call this server by.
#[derive(Debug, Clone)]
pub(super) struct HostPolicy {
    loopback: bool,
    names: Vec<String>,
}

impl HostPolicy {
    pub(super) fn new(settings: &ServerSettings) -> Self {
        let names = settings.hosts.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self { loopback: settings.listen.ip().is_loopback(), names }
    }

    /// Against DNS rebinding: a page of a stranger's can make the browser resolve its own name to 127.0.0.1, but the
    /// browser then still says that name. Bound to loopback, only loopback's names and the configured ones pass; bound
    /// elsewhere, the configured ones and addresses, or anything where none is configured.
    fn admits(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        if authority.as_str().contains('@') {
            return false;
        }
        let name = authority.host().to_ascii_lowercase();
        let literal = name.trim_start_matches('[').trim_end_matches(']');
        if self.names.contains(&name) {
            return true;
        }
        match (self.loopback, literal.parse::<IpAddr>()) {
            (true, Ok(address)) => address.is_loopback(),
            (true, Err(_)) => name == "localhost",
            (false, Ok(_)) => true,
            (false, Err(_)) => self.names.is_empty(),
        }
    }
}

/// The middleware around everything.
pub(super) async fn guard(State(policy): State<HostPolicy>, request: Request, next: Next) -> Response {
    let mut response = match check(&policy, &request) {
        Ok(()) => match tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await {
            Ok(response) => response,
            Err(_) => refusal(StatusCode::GATEWAY_TIMEOUT, "the answer took too long"),
        },
        Err((status, why)) => {
            // What follows on this connection may be the unread rest of a request that was refused.
            ([(header::CONNECTION, "close")], refusal(status, why)).into_response()
        }
    };
    harden(response.headers_mut());
    response
}

fn check(policy: &HostPolicy, request: &Request) -> Result<(), (StatusCode, &'static str)> {
    let headers = request.headers();
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    let absolute = request.uri().authority().map(Authority::as_str);
    let one_known_host = hosts.next().is_none()
        && host.is_some_and(|host| policy.admits(host))
        && absolute.is_none_or(|authority| policy.admits(authority));
    if !one_known_host {
        return Err((
            StatusCode::MISDIRECTED_REQUEST,
            "this server has another name; see `hosts` in the configuration",
        ));
    }
    let empty = headers.get(header::CONTENT_LENGTH).is_none_or(|length| length == "0");
    if !empty || headers.contains_key(header::TRANSFER_ENCODING) {
        return Err((StatusCode::PAYLOAD_TOO_LARGE, "requests have no body here"));
    }
    Ok(())
}

fn harden(headers: &mut HeaderMap) {
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_passes_where_it_can_only_mean_this_server() {
        let policy = |listen: &str, hosts: &[&str]| {
            let hosts = hosts.iter().map(|&host| host.to_owned()).collect();
            HostPolicy::new(&ServerSettings {
                listen: listen.parse().expect("an address"),
                hosts,
                ..ServerSettings::default()
            })
        };
        let loopback = policy("127.0.0.1:8090", &["Line3.example"]);
        let open = policy("0.0.0.0:8090", &[]);
        let named = policy("0.0.0.0:8090", &["line3.example"]);
        let cases = [
            ("localhost:8090", [true, true, false]),
            ("LOCALHOST", [true, true, false]),
            ("127.0.0.1:8090", [true, true, true]),
            ("127.1.2.3", [true, true, true]),
            ("[::1]:8090", [true, true, true]),
            ("line3.example", [true, true, true]),
            ("evil.example", [false, true, false]),
            ("127.0.0.1.evil.example:8090", [false, true, false]),
            ("192.168.1.7:8090", [false, true, true]),
            ("localhost@evil.example", [false, false, false]),
            ("", [false, false, false]),
            ("a b", [false, false, false]),
        ];
        for (host, expected) in cases {
            assert_eq!([&loopback, &open, &named].map(|policy| policy.admits(host)), expected, "{host:?}");
        }
    }
}
