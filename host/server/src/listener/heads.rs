//! Heads that two readers could understand differently: refused before anybody handles them.
//!
//! A proxy before the host and the host itself must agree on where a request ends and for whom it is; a request on which
//! they differ carries another one past the proxy ("smuggling"). The parser refuses what is ambiguous about lengths and
//! lines; of a message with both a length and chunks it takes the chunks, as RFC 9112 says, and closes the connection
//! behind it. What is left is here: the host that a request names, and requests that are for a proxy.

use axum::http::{HeaderMap, Method, StatusCode, Version, header};

/// What is wrong with a head, if anything is: the status and a sentence for whoever reads it.
pub(super) fn objection(method: &Method, version: Version, headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
    if method == Method::CONNECT {
        return Some((StatusCode::METHOD_NOT_ALLOWED, "this is no proxy\n"));
    }
    let hosts = headers.get_all(header::HOST).iter().count();
    match (hosts, version) {
        (1, _) | (0, Version::HTTP_10) => None,
        (0, _) => Some((StatusCode::BAD_REQUEST, "a request of HTTP/1.1 has a `host` header\n")),
        _ => Some((StatusCode::BAD_REQUEST, "a request has one `host` header\n")),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn status(method: Method, version: Version, hosts: &[&str]) -> Option<u16> {
        let mut request = Request::builder().method(method).version(version);
        for host in hosts {
            request = request.header("host", *host);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        objection(&head.method, head.version, &head.headers).map(|(status, _)| status.as_u16())
    }

    #[test]
    fn a_request_is_for_one_host_and_no_proxy() {
        assert_eq!(status(Method::POST, Version::HTTP_11, &["a"]), None);
        assert_eq!(status(Method::POST, Version::HTTP_10, &[]), None);
        assert_eq!(status(Method::POST, Version::HTTP_11, &[]), Some(400));
        assert_eq!(status(Method::POST, Version::HTTP_11, &["a", "a"]), Some(400));
        assert_eq!(status(Method::POST, Version::HTTP_10, &["a", "b"]), Some(400));
        assert_eq!(status(Method::CONNECT, Version::HTTP_11, &["a"]), Some(405));
    }
}
