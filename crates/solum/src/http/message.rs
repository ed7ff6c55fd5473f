//! Requests and responses: bytes in, bytes out.

/// The longest head of a request in bytes.
pub const HEAD_MAX: usize = 16 * 1024;
/// The most header fields of a request.
const FIELDS_MAX: usize = 64;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `PUT` and so on.
    pub method: String,
    /// The path, with percent-encoding undone; bytes that are no UTF-8 are refused.
    pub path: String,
    /// What followed the question mark, as it was sent; empty if nothing did.
    pub query: String,
    /// The header fields: names in lower case, values as they were sent.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// Minor version of HTTP/1.
    minor: u8,
}

impl Request {
    /// The first value of a header field, by its name in lower case.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_slice())
    }

    /// Whether the client wants to go on with the connection (RFC 9112, section 9.3).
    pub(super) fn keeps_alive(&self) -> bool {
        let wishes = |word: &[u8]| {
            let value = self.field("connection").unwrap_or_default();
            value.split(|byte| *byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(word))
        };
        if self.minor == 0 { wishes(b"keep-alive") } else { !wishes(b"close") }
    }
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: u16,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Response {
    /// A response without a body. Statuses are those of RFC 9110, section 15.
    pub fn new(status: u16) -> Self {
        Self { status, fields: Vec::new(), body: Vec::new() }
    }

    /// A response with a text for people.
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        Self::new(status).field("content-type", "text/plain; charset=utf-8").body(text.into())
    }

    /// Adds a header field. Line ends in it are left out, so that nobody adds fields through a value.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        let clean = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
        self.fields.push((clean(name), clean(value)));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(super) fn write(&self, output: &mut Vec<u8>, head_only: bool, close: bool) {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        // A response that cannot have a body has no length either (RFC 9110, section 8.6).
        let is_bodiless = self.status < 200 || self.status == 204 || self.status == 304;
        if !is_bodiless {
            head.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        if close {
            head.push_str("connection: close\r\n");
        }
        head.push_str("\r\n");
        output.extend_from_slice(head.as_bytes());
        if !head_only && !is_bodiless {
            output.extend_from_slice(&self.body);
        }
    }
}

/// What the bytes of a connection begin with.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A whole request, and its length in bytes.
    Whole(Request, usize),
    /// Something that may become a request.
    Continue,
    /// Nothing that is understood: answer this status and end the connection.
    Refused(u16, &'static str),
}

/// Reads a request.
pub fn parse(input: &[u8], body_max: usize) -> Parsed {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut head = httparse::Request::new(&mut fields);
    let head_length = match head.parse(input) {
        Ok(httparse::Status::Complete(length)) if length <= HEAD_MAX => length,
        Ok(httparse::Status::Partial) if input.len() <= HEAD_MAX => return Parsed::Continue,
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {
            return Parsed::Refused(431, "the header fields are too long or too many\n");
        }
        Err(_) => return Parsed::Refused(400, "this is no HTTP request\n"),
    };
    let (Some(method), Some(target), Some(minor)) = (head.method, head.path, head.version) else {
        return Parsed::Refused(400, "this is no HTTP request\n");
    };
    let body_length = match body_length(head.headers) {
        Ok(length) if length > body_max => return Parsed::Refused(413, "the body is too long\n"),
        Ok(length) => length,
        Err((status, text)) => return Parsed::Refused(status, text),
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Some(path) = undo_percents(path) else {
        return Parsed::Refused(400, "the path is not UTF-8\n");
    };
    let Some(body) = input.get(head_length..head_length + body_length) else { return Parsed::Continue };
    let fields =
        head.headers.iter().map(|field| (field.name.to_ascii_lowercase(), field.value.to_vec())).collect();
    let request = Request {
        method: method.to_owned(),
        path,
        query: query.to_owned(),
        fields,
        body: body.to_vec(),
        minor,
    };
    Parsed::Whole(request, head_length + body_length)
}

/// The length of the body. Two lengths, or a length beside a transfer coding, are how requests are smuggled past a proxy
/// (RFC 9112, section 6.3), so they are refused.
fn body_length(fields: &[httparse::Header<'_>]) -> Result<usize, (u16, &'static str)> {
    let named = |name: &'static str| fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
    if named("transfer-encoding").next().is_some() {
        return Err((411, "send the body with a content-length; transfer codings are not understood\n"));
    }
    let mut lengths = named("content-length");
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(0),
        (Some(length), None) if length.value.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(length.value)
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or((400, "the content-length is no number\n"))
        }
        _ => Err((400, "the content-length is no number, or there are two\n")),
    }
}

fn undo_percents(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let (digits, after) = after.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

/// The reason phrase, which nobody reads (RFC 9112, section 4), for the statuses that programs use.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        507 => "Insufficient Storage",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> (Request, usize) {
        match parse(text.as_bytes(), 100) {
            Parsed::Whole(request, length) => (request, length),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_is_read_as_soon_as_it_is_whole() {
        let text = "PUT /a%20b?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET";
        let (request, length) = whole(text);
        assert_eq!(
            (request.method.as_str(), request.path.as_str(), request.query.as_str()),
            ("PUT", "/a b", "x=1")
        );
        assert_eq!((request.body.as_slice(), request.field("host")), (&b"abc"[..], Some(&b"h"[..])));
        assert_eq!(&text[length..], "GET");
        for end in 0..length {
            assert_eq!(parse(&text.as_bytes()[..end], 100), Parsed::Continue, "{end} bytes");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_refused_with_the_right_status() {
        let long = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(HEAD_MAX));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(FIELDS_MAX + 1));
        let table = [
            ("nonsense\r\n\r\n", 400),
            ("GET /%ff HTTP/1.1\r\n\r\n", 400),
            ("GET /%4 HTTP/1.1\r\n\r\n", 400),
            ("PUT / HTTP/1.1\r\ncontent-length: 101\r\n\r\n", 413),
            ("PUT / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
            ("PUT / HTTP/1.1\r\ncontent-length: 99999999999999999999999\r\n\r\n", 400),
            ("PUT / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na", 400),
            ("PUT / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", 411),
            (&long, 431),
            (&many, 431),
        ];
        for (text, status) in table {
            assert!(
                matches!(parse(text.as_bytes(), 100), Parsed::Refused(found, _) if found == status),
                "{text:.60}"
            );
        }
    }

    #[test]
    fn connections_are_kept_as_the_client_wishes() {
        let table = [
            ("GET / HTTP/1.1\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nConnection: x, Close\r\n\r\n", false),
            ("GET / HTTP/1.0\r\n\r\n", false),
            ("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n", true),
        ];
        for (text, keeps) in table {
            assert_eq!(whole(text).0.keeps_alive(), keeps, "{text}");
        }
    }

    #[test]
    fn responses_have_a_length_and_no_smuggled_lines() {
        let mut output = Vec::new();
        Response::text(200, "hi").field("x", "a\r\nset-cookie: b").write(&mut output, false, true);
        let text = String::from_utf8(output).unwrap();
        assert_eq!(
            text,
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\nx: aset-cookie: b\r\ncontent-length: 2\r\n\
             connection: close\r\n\r\nhi"
        );
        let mut output = Vec::new();
        Response::new(204).body("x").write(&mut output, false, false);
        assert_eq!(output, b"HTTP/1.1 204 No Content\r\n\r\n");
    }
}
