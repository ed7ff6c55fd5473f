//! A registry of images: the OCI Distribution Specification 1.1, as far as pushing needs it.

mod challenge;
mod credentials;
mod place;

use std::cell::RefCell;
use std::io::{self, Read};
use std::time::Duration;

use serde::Deserialize;
use solum_image::oci::{Blob, Descriptor, Reference, media_type};
use solum_kernel::{Progress, Unit};
use ureq::http::{Method, Request, Response};
use ureq::tls::{PemItem, RootCerts, TlsConfig};
use ureq::{Agent, Body, SendBody};

use crate::certificates;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use challenge::Challenge;
use credentials::Credentials;
use place::Place;

/// The most of an answer that is read: a list of what is attached to an image has a few hundred bytes for each.
const ANSWER_MAX_BYTES: u64 = 4 << 20;
/// Registries on this machine, which rarely have a certificate.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// A repository in a registry.
pub struct Registry {
    agent: Agent,
    place: Place,
    is_plain: bool,
    credentials: Option<Credentials>,
    /// What each request says about who sends it, as soon as the registry has asked.
    authorization: RefCell<Option<String>>,
}

/// What a registry does with an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// It lists it by itself.
    Listed,
    /// It knows no attachments, and so the list is an image of its own.
    ListedByTag,
}

/// A request before it is sent.
struct Ask<'a> {
    method: Method,
    url: String,
    /// What the body is, and its bytes.
    body: Option<(&'a str, &'a [u8])>,
    /// Hears how much of the body is sent.
    progress: Option<&'a dyn Progress>,
}

/// What a registry says that refuses (OCI Distribution Specification 1.1, "Error Codes").
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Refused {
    errors: Vec<Reason>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reason {
    code: String,
    message: String,
}

/// A token, under either of its names (Distribution, "Token Authentication Specification").
#[derive(Debug, Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// A list of manifests, of which this side understands no more than it has to.
#[derive(Debug, Deserialize)]
struct List {
    manifests: Vec<serde_json::Value>,
}

impl Registry {
    /// The repository that a reference names. Nothing is asked yet.
    pub fn new(reference: &Reference, plain_http: bool) -> Result<Self, Failure> {
        let place = Place::of(reference);
        let host = place.host.as_str();
        let name = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => name,
            _ => host,
        };
        let is_plain = plain_http || LOCAL.contains(&name);
        let roots = if is_plain { RootCerts::WebPki } else { roots() };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_recv_response(Some(Duration::from_secs(120)))
            .build()
            .into();
        let credentials = Credentials::find(&place)?;
        Ok(Self { agent, place, is_plain, credentials, authorization: RefCell::new(None) })
    }

    /// Whether the registry has a blob already.
    pub fn has_blob(&self, digest: &str) -> Result<bool, Failure> {
        let response = self.ask(&Ask::new(Method::HEAD, self.url(&format!("blobs/{digest}"))))?;
        match response.status().as_u16() {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(self.refusal(response)),
        }
    }

    /// Sends a blob, in one piece.
    pub fn send_blob(&self, blob: &Blob, progress: &dyn Progress) -> Result<(), Failure> {
        let begun = self.ask(&Ask::new(Method::POST, self.url("blobs/uploads/")))?;
        if begun.status() != 202 {
            return Err(self.refusal(begun));
        }
        let location = begun.headers().get("location").and_then(|value| value.to_str().ok());
        let Some(location) = location.map(|location| self.absolute(location)) else {
            return Err(self
                .failure("does not say where the image shall be sent")
                .hint(self.not_a_registry()));
        };
        // The digest is `sha256:` and hexadecimal digits: nothing in it has a meaning in an address.
        let joint = if location.contains('?') { '&' } else { '?' };
        let sent = self.ask(&Ask {
            body: Some(("application/octet-stream", &blob.bytes)),
            progress: Some(progress),
            ..Ask::new(Method::PUT, format!("{location}{joint}digest={}", blob.digest))
        })?;
        if sent.status() == 201 { Ok(()) } else { Err(self.refusal(sent)) }
    }

    /// Sends a manifest, to be had by this tag or digest. Says whether the registry takes it for an attachment.
    pub fn send_manifest(&self, name: &str, media_type: &str, bytes: &[u8]) -> Result<Attachment, Failure> {
        let sent = self.ask(&Ask {
            body: Some((media_type, bytes)),
            ..Ask::new(Method::PUT, self.url(&format!("manifests/{name}")))
        })?;
        if sent.status() != 201 {
            return Err(self.refusal(sent));
        }
        // OCI Distribution Specification 1.1, "Pushing Manifests with Subject": who lists it, says so.
        let is_listed = sent.headers().contains_key("oci-subject");
        Ok(if is_listed { Attachment::Listed } else { Attachment::ListedByTag })
    }

    /// Adds to the list of what is attached to an image, for a registry that keeps none ("Referrers Tag Schema", same place).
    pub fn list_by_tag(&self, subject: &Blob, attachment: &Descriptor) -> Result<(), Failure> {
        let tag = subject.digest.replacen(':', "-", 1);
        let response = self.ask(&Ask::new(Method::GET, self.url(&format!("manifests/{tag}"))))?;
        let mut manifests = match response.status().as_u16() {
            404 => Vec::new(),
            200 => {
                let list: List =
                    serde_json::from_slice(&read(response).unwrap_or_default()).map_err(|error| {
                        self.failure(&format!("has a list of attachments that cannot be read: {error}"))
                            .hint(format!("remove the tag {tag} there"))
                    })?;
                list.manifests
            }
            _ => return Err(self.refusal(response)),
        };
        if manifests.iter().any(|known| known["digest"] == attachment.digest.as_str()) {
            return Ok(());
        }
        manifests.extend(serde_json::to_value(attachment).ok());
        let list = serde_json::json!({
            "schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": manifests,
        });
        self.send_manifest(&tag, media_type::INDEX, list.to_string().as_bytes()).map(|_| ())
    }

    fn url(&self, rest: &str) -> String {
        let scheme = if self.is_plain { "http" } else { "https" };
        format!("{scheme}://{}/v2/{}/{rest}", self.place.host, self.place.repository)
    }

    /// A place may be told without its host (RFC 9110, section 10.2.2).
    fn absolute(&self, location: &str) -> String {
        match location.starts_with('/') {
            true => {
                let scheme = if self.is_plain { "http" } else { "https" };
                format!("{scheme}://{}{location}", self.place.host)
            }
            false => location.to_owned(),
        }
    }

    /// Asks, and says who asks if the registry wants to know.
    fn ask(&self, ask: &Ask<'_>) -> Result<Response<Body>, Failure> {
        let response = self.send(ask)?;
        if response.status() != 401 {
            return Ok(response);
        }
        let challenges = response.headers().get_all("www-authenticate");
        let challenge = challenges.iter().filter_map(|value| value.to_str().ok()).find_map(Challenge::read);
        let authorization = match (challenge, &self.credentials) {
            (Some(Challenge::Bearer { realm, service, scope }), _) => {
                self.token(&realm, service.as_deref(), scope.as_deref())?
            }
            (Some(Challenge::Basic), Some(credentials)) => credentials.basic(),
            (Some(Challenge::Basic), None) => return Err(self.unknown_user()),
            (None, _) => return Err(self.refusal(response)),
        };
        // The same answer again would be refused again.
        if self.authorization.replace(Some(authorization.clone())) == Some(authorization) {
            return Err(self.unknown_user());
        }
        let response = self.send(ask)?;
        if response.status() == 401 { Err(self.unknown_user()) } else { Ok(response) }
    }

    fn send(&self, ask: &Ask<'_>) -> Result<Response<Body>, Failure> {
        let mut request = Request::builder().method(ask.method.clone()).uri(&ask.url);
        // Somebody else's server, to which a registry sends, is not told who the user is.
        if ask.url.starts_with(&self.absolute("/"))
            && let Some(authorization) = self.authorization.borrow().as_deref()
        {
            request = request.header("authorization", authorization);
        }
        if ask.method == Method::GET {
            request = request.header("accept", media_type::INDEX);
        }
        let sent = match ask.body {
            None => request.body(()).map_err(ureq::Error::from).and_then(|request| self.agent.run(request)),
            Some((media_type, bytes)) => {
                let request = request
                    .header("content-type", media_type)
                    .header("content-length", bytes.len().to_string());
                let mut body = Told { bytes, sent: 0, progress: ask.progress };
                let request = request.body(SendBody::from_reader(&mut body)).map_err(ureq::Error::from);
                request.and_then(|request| self.agent.run(request))
            }
        };
        sent.map_err(|error| self.unreachable(&self.place.host, &error))
    }

    /// The token for what the registry just refused.
    fn token(&self, realm: &str, service: Option<&str>, scope: Option<&str>) -> Result<String, Failure> {
        let unreachable = |error: &ureq::Error| self.unreachable(realm, error);
        // A name and a password go to nobody who asks for them in the open, unless all of it is.
        if self.credentials.is_some() && !realm.starts_with("https://") && !self.is_plain {
            return Err(self
                .failure(&format!("asks for the login in the open, at {realm}"))
                .hint(self.not_a_registry()));
        }
        let pairs = [("service", service), ("scope", scope)];
        let pairs = pairs.into_iter().filter_map(|(name, value)| value.map(|value| (name, value)));
        let response = match &self.credentials {
            Some(login) if login.is_token() => {
                let form = [("grant_type", "refresh_token"), ("refresh_token", login.password.as_str())];
                let client = [("client_id", "solum")];
                self.agent.post(realm).send_form(form.into_iter().chain(client).chain(pairs))
            }
            login => {
                let mut request = self.agent.get(realm);
                for (name, value) in pairs {
                    request = request.query(name, value);
                }
                if let Some(login) = login {
                    request = request.header("authorization", login.basic());
                }
                request.call()
            }
        };
        let response = response.map_err(|error| unreachable(&error))?;
        match response.status().as_u16() {
            200 => {}
            400 | 401 | 403 => return Err(self.unknown_user()),
            _ => return Err(self.refusal(response)),
        }
        let token: Option<Token> = read(response).and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let token = token.and_then(|token| token.token.or(token.access_token)).ok_or_else(|| {
            self.failure(&format!("sent to {realm} for a token, and there is none"))
                .hint(self.not_a_registry())
        })?;
        Ok(format!("Bearer {token}"))
    }

    fn failure(&self, what: &str) -> Failure {
        Failure::new(ExitCode::RegistryRefuses, format_args!("the registry {} {what}", self.place.registry))
    }

    fn not_a_registry(&self) -> String {
        format!("look whether {} is a registry of images", self.place.registry)
    }

    fn unknown_user(&self) -> Failure {
        let registry = &self.place.registry;
        match &self.credentials {
            None => self
                .failure("wants to know who you are")
                .hint(format!("log in with `podman login {registry}` or `docker login {registry}`")),
            Some(login) => self
                .failure(&format!("does not accept {} with the password from {}", login.user, login.source))
                .hint(format!(
                    "log in again with `podman login {registry}` or `docker login {registry}`, or {}",
                    self.place.asking_for_the_right()
                )),
        }
    }

    fn unreachable(&self, place: &str, error: &ureq::Error) -> Failure {
        let cause = match error {
            ureq::Error::HostNotFound => "there is no server of that name".to_owned(),
            ureq::Error::Io(error) => error.to_string(),
            other => other.to_string(),
        };
        let is_tls =
            matches!(error, ureq::Error::Rustls(_) | ureq::Error::Tls(_)) || cause.contains("certificate");
        let hint = match (self.is_plain, is_tls || cause.contains("InvalidContentType")) {
            (false, true) => {
                "--plain-http speaks to a registry without TLS; SSL_CERT_FILE names the certificates that are trusted"
            }
            (_, _) => "look whether the name and the port are right, and whether the registry runs",
        };
        Failure::new(
            ExitCode::RegistryRefuses,
            format_args!("the registry {place} cannot be reached: {cause}"),
        )
        .hint(hint.to_owned())
    }

    /// What the registry says that has refused something.
    fn refusal(&self, response: Response<Body>) -> Failure {
        let status = response.status();
        let refused: Option<Refused> = read(response).and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let reason = refused.and_then(|refused| refused.errors.into_iter().next());
        let said = match &reason {
            Some(Reason { code, message }) if !message.is_empty() => format!("{message} ({code})"),
            _ => status.to_string(),
        };
        let code = reason.map(|reason| reason.code).unwrap_or_default();
        let repository = &self.place.repository;
        let hint = match (code.as_str(), status.as_u16()) {
            ("DENIED", _) | (_, 403) => self.place.asking_for_the_right(),
            ("NAME_INVALID" | "NAME_UNKNOWN", _) => {
                format!("give another name than {repository}, or make it there first")
            }
            (_, 429) => "try again later".to_owned(),
            (_, 507) => "free some space there".to_owned(),
            (_, 500..) => "try again later, or look into the registry's log".to_owned(),
            _ => self.not_a_registry(),
        };
        self.failure(&format!("refuses: {said}")).hint(hint)
    }
}

impl Ask<'_> {
    fn new(method: Method, url: String) -> Self {
        Self { method, url, body: None, progress: None }
    }
}

/// Bytes on their way.
struct Told<'a> {
    bytes: &'a [u8],
    sent: usize,
    progress: Option<&'a dyn Progress>,
}

impl Read for Told<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = (&self.bytes[self.sent..]).read(buffer)?;
        self.sent += length;
        if let Some(progress) = self.progress {
            progress.progress(Unit::Bytes, self.sent as u64, Some(self.bytes.len() as u64));
        }
        Ok(length)
    }
}

/// The authorities that this host trusts; those that Mozilla trusts if it has none.
fn roots() -> RootCerts {
    let Ok(bytes) = certificates::of_host() else { return RootCerts::WebPki };
    let items = ureq::tls::parse_pem(&bytes);
    let certificates = items.filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    RootCerts::from(certificates)
}

fn read(response: Response<Body>) -> Option<Vec<u8>> {
    response.into_body().into_with_config().limit(ANSWER_MAX_BYTES).read_to_vec().ok()
}
