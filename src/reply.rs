//! What a handler answers, before it becomes an HTTP response.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

/// A status, a body and the few headers that handlers set.
pub struct Reply {
    pub status: StatusCode,
    pub content_type: HeaderValue,
    /// Besides the type; mostly none, which takes no memory.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
}

impl Reply {
    pub fn new(content_type: &'static str, body: impl Into<Bytes>) -> Reply {
        Reply {
            status: StatusCode::OK,
            content_type: HeaderValue::from_static(content_type),
            headers: Vec::new(),
            body: body.into(),
        }
    }

    pub fn json(value: &impl Serialize) -> Reply {
        // The values are our own plain structs: no map with other than string keys, nothing that can fail.
        let body = serde_json::to_vec(value).expect("plain structs serialise");
        Reply::new("application/json", body)
    }

    /// Builds the response in `headers`, the request's map emptied. hyper in turn parses the connection's next
    /// request into the response's map, so a keep-alive connection goes on without allocating for headers.
    pub fn into_response(self, mut headers: HeaderMap) -> Response<Full<Bytes>> {
        headers.clear();
        headers.insert(header::CONTENT_TYPE, self.content_type);
        headers.extend(self.headers);
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }
}
