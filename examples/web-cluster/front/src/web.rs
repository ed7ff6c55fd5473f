//! What HTTP requests mean here, and how answers look.

use cluster::calls::Refusal;
use cluster::front::{Answer, Request};
use cluster::page::Page;
use cluster::{Key, KeyError};
use solum::http::{self, Response};

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
pub fn asked(request: &http::Request) -> Result<Asked, Response> {
    let Some(path) = request.path.strip_prefix('/') else {
        return Err(Response::text(400, "a path begins with a slash\n"));
    };
    let key = || Key::new(path).map_err(not_a_key);
    match request.method.as_str() {
        "GET" | "HEAD" if path.is_empty() || path.ends_with('/') => {
            let after = after(&request.query).map_err(not_a_key)?;
            Ok(Asked::List { prefix: path.to_owned(), after })
        }
        "GET" | "HEAD" => Ok(Asked::One(Request::Get(key()?))),
        "PUT" => Ok(Asked::One(Request::Write(key()?, Some(request.body.clone())))),
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
