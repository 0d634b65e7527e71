//! Headers that are about one connection, not about the request: a proxy has two, so they end here (RFC 9110, 7.6.1).

use axum::http::{HeaderMap, HeaderName, header};

const OF_ONE_CONNECTION: [HeaderName; 7] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Removes them, and those that `Connection` names.
pub fn remove(headers: &mut HeaderMap) {
    for name in named(headers) {
        headers.remove(name);
    }
    for name in &OF_ONE_CONNECTION {
        headers.remove(name);
    }
}

fn named(headers: &HeaderMap) -> Vec<HeaderName> {
    let texts = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).filter_map(|name| name.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_one_connection_and_those_that_it_names_are_removed() {
        let given = [("connection", "close, x-hop"), ("connection", "x-more"), ("x-hop", "1"), ("x-more", "2")];
        let kept = [("te", "trailers"), ("accept", "*/*")];
        let mut headers = HeaderMap::new();
        for (name, value) in given.into_iter().chain(kept) {
            headers.append(name, value.parse().unwrap());
        }

        remove(&mut headers);

        assert_eq!(headers.keys().collect::<Vec<_>>(), ["accept"]);
    }
}
