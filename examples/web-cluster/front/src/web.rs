//! What HTTP requests mean here, and how answers look.

use cluster::calls::Refusal;
use cluster::front::{Answer, Request};
use cluster::page::Page;
use cluster::{Key, KeyError};
use solum::http::Response;

/// What a client asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// Something about one key.
    One(Request),
    /// Which keys there are.
    List {
        /// They begin so.
        prefix: String,
        /// They come behind this one.
        after: Option<Key>,
    },
}

/// What a request asks for; or the answer, if it asks for nothing that can be.
pub fn asked(method: &str, path: &str, query: &str, body: &[u8]) -> Result<Asked, Response> {
    let Some(path) = path.strip_prefix('/') else {
        return Err(Response::text(400, "a path begins with a slash\n"));
    };
    let key = || Key::new(path).map_err(not_a_key);
    match method {
        "GET" | "HEAD" if path.is_empty() || path.ends_with('/') => {
            Ok(Asked::List { prefix: path.to_owned(), after: after(query).map_err(not_a_key)? })
        }
        "GET" | "HEAD" => Ok(Asked::One(Request::Get(key()?))),
        "PUT" => Ok(Asked::One(Request::Write(key()?, Some(body.to_vec())))),
        "DELETE" => Ok(Asked::One(Request::Write(key()?, None))),
        _ => Err(Response::text(405, "there are GET, HEAD, PUT and DELETE\n")
            .field("allow", "GET, HEAD, PUT, DELETE")),
    }
}

/// The key in `after=KEY`, in which what is special in URLs has to be encoded as it is in file names.
fn after(query: &str) -> Result<Option<Key>, KeyError> {
    let Some(name) = query.strip_prefix("after=") else { return Ok(None) };
    Key::from_file_name(name).map(Some).ok_or(KeyError::Empty)
}

fn not_a_key(error: KeyError) -> Response {
    let status = if error == KeyError::TooLong { 414 } else { 400 };
    Response::text(status, format!("{error}\n"))
}

/// The answer about one key.
pub fn answered(answer: &Answer) -> Response {
    match answer {
        Answer::Found { record, is_hit } => {
            let response = match &record.value {
                Some(value) => Response::new(200).body(value.clone()),
                None => Response::text(404, "there is nothing of this name\n"),
            };
            let response = response.field("x-cache", if *is_hit { "hit" } else { "miss" });
            response.field("etag", &format!("\"{}\"", record.number))
        }
        Answer::Written(number) => Response::new(204).field("etag", &format!("\"{number}\"")),
        Answer::Unavailable => {
            Response::text(503, "the store does not answer; nothing was changed\n").field("retry-after", "1")
        }
        Answer::Unknown => Response::text(
            504,
            "the store broke off; it is not known whether this was written\nhint: look, or ask again\n",
        ),
        Answer::Refused(Refusal::Full) => Response::text(507, "the disk is full; nothing was changed\n"),
        Answer::Refused(refusal) => Response::text(500, format!("{refusal}\n")),
    }
}

/// The answer about many keys: a line each, and where to go on.
pub fn listed(page: &Page) -> Response {
    let lines: String = page.keys.iter().map(|key| format!("{key}\n")).collect();
    let response = Response::text(200, lines);
    match page.keys.last() {
        Some(last) if page.has_more => {
            response.field("link", &format!("<?after={}>; rel=\"next\"", last.file_name()))
        }
        _ => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::{Number, Record};

    fn key(text: &str) -> Key {
        Key::new(text).unwrap()
    }

    #[test]
    fn requests_mean_what_http_says() {
        let table = [
            ("GET", "/a/b", Asked::One(Request::Get(key("a/b")))),
            ("HEAD", "/a", Asked::One(Request::Get(key("a")))),
            ("PUT", "/a", Asked::One(Request::Write(key("a"), Some(b"body".to_vec())))),
            ("DELETE", "/a", Asked::One(Request::Write(key("a"), None))),
            ("GET", "/", Asked::List { prefix: String::new(), after: Some(key("a/b")) }),
            ("GET", "/a/", Asked::List { prefix: "a/".into(), after: Some(key("a/b")) }),
        ];
        for (method, path, expected) in table {
            assert_eq!(asked(method, path, "after=a%2Fb", b"body"), Ok(expected), "{method} {path}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_the_reason() {
        let slash = "a path that ends with a slash stands for all that begin so; it can only be listed\n";
        let table = [
            ("PUT", "*".to_owned(), "", Response::text(400, "a path begins with a slash\n")),
            ("PUT", "/a/".to_owned(), "", Response::text(400, slash)),
            ("DELETE", "/".to_owned(), "", Response::text(400, "the path names nothing\n")),
            ("GET", "/".to_owned(), "after=/", Response::text(400, "the path names nothing\n")),
            ("GET", format!("/{}", "a".repeat(300)), "", Response::text(414, "the path is too long\n")),
        ];
        for (method, path, query, expected) in table {
            assert_eq!(asked(method, &path, query, b""), Err(expected), "{method} {path:.40}");
        }
        assert!(asked("POST", "/a", "", b"").is_err());
    }

    #[test]
    fn answers_say_where_they_are_from_and_what_is_known() {
        let record = |value| Record { number: Number { epoch: 2, count: 7 }, value };
        let found = answered(&Answer::Found { record: record(Some(b"x".to_vec())), is_hit: true });
        assert_eq!(found, Response::new(200).body("x").field("x-cache", "hit").field("etag", "\"2.7\""));
        let nothing = answered(&Answer::Found { record: record(None), is_hit: false });
        let expected = Response::text(404, "there is nothing of this name\n");
        assert_eq!(nothing, expected.field("x-cache", "miss").field("etag", "\"2.7\""));
        let full = Response::text(507, "the disk is full; nothing was changed\n");
        assert_eq!(answered(&Answer::Refused(Refusal::Full)), full);
    }

    #[test]
    fn a_page_that_is_not_the_last_says_where_the_next_one_begins() {
        let mut page = Page { keys: vec![key("a"), key("b/c")], has_more: false };
        assert_eq!(listed(&page), Response::text(200, "a\nb/c\n"));
        page.has_more = true;
        let link = "<?after=b%2Fc>; rel=\"next\"";
        assert_eq!(listed(&page), Response::text(200, "a\nb/c\n").field("link", link));
    }
}
