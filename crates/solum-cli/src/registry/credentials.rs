//! Who the user is at a registry: what `podman login` and `docker login` have written down.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Deserialize;

use crate::exit_code::ExitCode;
use crate::failure::{Failure, reason};
use crate::registry::place::Place;

/// The name under which a helper gives a token that stands for a login (Docker, "docker login", "Credential helper protocol").
const TOKEN_USER: &str = "<token>";

/// Name and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
    /// Where they were found.
    pub source: String,
}

/// The password stays out of every message.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (from {})", self.user, self.source)
    }
}

impl Credentials {
    /// As `Authorization` has them (RFC 7617).
    pub fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.user, self.password)))
    }

    /// Whether the password is a token that is given for another one, instead of a name and a password.
    pub fn is_token(&self) -> bool {
        self.user == TOKEN_USER
    }

    /// Those of the user for a repository of a registry, if there are any: the first file that knows it decides.
    pub fn find(place: &Place) -> Result<Option<Self>, Failure> {
        for (path, must_be) in files() {
            let text = match fs::read(&path) {
                Ok(text) => text,
                Err(error) if !must_be && error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Failure::file("cannot read the logins in", &path, &error)),
            };
            let logins: Logins = serde_json::from_slice(&text).map_err(|error| {
                Failure::new(
                    ExitCode::UnusableInput,
                    format_args!("the logins in {} cannot be read: {error}", path.display()),
                )
                .hint("write them anew with `podman login` or `docker login`".to_owned())
            })?;
            if let Some(found) = logins.find(&path, place)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// Where logins are written down, in the order of containers-auth.json(5), and whether the file has to be there.
fn files() -> Vec<(PathBuf, bool)> {
    let named = |variable: &str| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let mut files = Vec::new();
    files.extend(named("REGISTRY_AUTH_FILE").map(|path| (path, true)));
    files.extend(named("XDG_RUNTIME_DIR").map(|directory| (directory.join("containers/auth.json"), false)));
    let config = named("XDG_CONFIG_HOME").or_else(|| named("HOME").map(|home| home.join(".config")));
    files.extend(config.map(|directory| (directory.join("containers/auth.json"), false)));
    let docker = named("DOCKER_CONFIG").or_else(|| named("HOME").map(|home| home.join(".docker")));
    files.extend(docker.map(|directory| (directory.join("config.json"), false)));
    files
}

/// The file of logins: Docker's, which Podman's is a part of.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Logins {
    auths: BTreeMap<String, Login>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Login {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

/// What a helper answers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Helped {
    username: String,
    secret: String,
}

impl Logins {
    fn find(&self, path: &Path, place: &Place) -> Result<Option<Credentials>, Failure> {
        if let Some(helper) = self.helper(place) {
            return ask_for_any(helper, place);
        }
        let login = place.names().into_iter().find_map(|name| {
            self.auths.iter().find(|(key, _)| plain_key(key) == name).map(|(_, login)| login)
        });
        if let Some(login) = login
            && let Some(found) = login.read(path)?
        {
            return Ok(Some(found));
        }
        // A store has whatever was logged in to; Docker lists the registry without a password beside it.
        match &self.creds_store {
            Some(helper) => ask_for_any(helper, place),
            None => Ok(None),
        }
    }

    /// The helper that keeps the login of this registry alone.
    fn helper(&self, place: &Place) -> Option<&str> {
        place.servers().into_iter().find_map(|server| self.cred_helpers.get(server)).map(String::as_str)
    }
}

/// Docker once wrote addresses in the place of names.
fn plain_key(key: &str) -> &str {
    let key = key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key)
}

impl Login {
    fn read(&self, path: &Path) -> Result<Option<Credentials>, Failure> {
        let source = path.display().to_string();
        if let Some(token) = self.identitytoken.clone().filter(|token| !token.is_empty()) {
            return Ok(Some(Credentials { user: TOKEN_USER.to_owned(), password: token, source }));
        }
        if let (Some(user), Some(password)) = (self.username.clone(), self.password.clone()) {
            return Ok(Some(Credentials { user, password, source }));
        }
        let Some(auth) = self.auth.as_deref().filter(|auth| !auth.is_empty()) else {
            return Ok(None);
        };
        let decoded = STANDARD_NO_PAD.decode(auth.trim_end_matches('=')).ok();
        let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = text.as_deref().and_then(|text| text.split_once(':'));
        let (user, password) = pair.ok_or_else(|| {
            Failure::new(
                ExitCode::UnusableInput,
                format_args!("a login in {source} is not NAME:PASSWORD in Base64"),
            )
            .hint("write it anew with `podman login` or `docker login`".to_owned())
        })?;
        // Some versions of Docker's client end it with a NUL.
        let password = password.trim_end_matches('\0');
        Ok(Some(Credentials { user: user.to_owned(), password: password.to_owned(), source }))
    }
}

/// Asks a program that keeps logins under each of a registry's names.
fn ask_for_any(helper: &str, place: &Place) -> Result<Option<Credentials>, Failure> {
    for server in place.servers() {
        if let Some(found) = ask(helper, server)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Asks a program that keeps logins: `docker-credential-NAME get`, the registry on its standard input.
fn ask(helper: &str, registry: &str) -> Result<Option<Credentials>, Failure> {
    let program = format!("docker-credential-{helper}");
    let broken = |why: String| {
        Failure::new(
            ExitCode::ToolMissing,
            format_args!("{program}, which keeps the login for {registry}, {why}"),
        )
        .hint("name a file with the login in REGISTRY_AUTH_FILE".to_owned())
    };
    let child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn();
    let mut child = child.map_err(|error| broken(format!("cannot be run: {}", reason(&error))))?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that ends without reading is judged by what it answers.
        let _ = writeln!(input, "{registry}");
    }
    let output =
        child.wait_with_output().map_err(|error| broken(format!("broke off: {}", reason(&error))))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        // The words of the protocol's own library (docker-credential-helpers, errors.go).
        return match said.contains("credentials not found") {
            true => Ok(None),
            false => Err(broken(format!("failed: {said}"))),
        };
    }
    let helped: Helped = serde_json::from_slice(&output.stdout)
        .map_err(|error| broken(format!("gave an answer that cannot be read: {error}")))?;
    Ok(Some(Credentials { user: helped.username, password: helped.secret, source: program }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, registry: &str, repository: &str) -> Option<(String, String)> {
        let logins: Logins = serde_json::from_str(text).unwrap();
        let found = logins.find(Path::new("auth.json"), &place(registry, repository)).unwrap();
        found.map(|credentials| (credentials.user, credentials.password))
    }

    fn place(registry: &str, repository: &str) -> Place {
        Place::of(&format!("{registry}/{repository}").parse().unwrap())
    }

    fn pair(user: &str, password: &str) -> Option<(String, String)> {
        Some((user.to_owned(), password.to_owned()))
    }

    #[test]
    fn the_closest_login_is_taken() {
        // `printf 'a:b' | base64` and so on.
        let text = r#"{"auths": {
            "host:5000": {"auth": "YTpi"},
            "host:5000/team": {"auth": "Yzpk"},
            "https://old.example/v1/": {"username": "e", "password": "f:g"},
            "token.example": {"identitytoken": "t"},
            "empty.example": {}
        }}"#;
        assert_eq!(found(text, "host:5000", "x"), pair("a", "b"));
        assert_eq!(found(text, "host:5000", "team/x"), pair("c", "d"));
        assert_eq!(found(text, "host:5000", "teams/x"), pair("a", "b"));
        assert_eq!(found(text, "old.example", "x"), pair("e", "f:g"));
        assert_eq!(found(text, "token.example", "x"), pair(TOKEN_USER, "t"));
        assert_eq!(found(text, "empty.example", "x"), None);
        assert_eq!(found(text, "host.example", "x"), None);
        assert_eq!(found("{}", "host.example", "x"), None);
    }

    #[test]
    fn the_login_of_docker_hub_is_found_under_each_of_its_names() {
        for key in [
            "https://index.docker.io/v1/",
            "index.docker.io",
            "docker.io",
            "registry-1.docker.io",
            "docker.io/me",
        ] {
            let text = format!(
                r#"{{"auths": {{"{key}": {{"auth": "YTpi"}}, "other.example": {{"auth": "Yzpk"}}}}}}"#
            );
            assert_eq!(found(&text, "docker.io", "me/app"), pair("a", "b"), "{key}");
        }
        let both =
            r#"{"auths": {"https://index.docker.io/v1/": {"auth": "YTpi"}, "docker.io": {"auth": "Yzpk"}}}"#;
        assert_eq!(
            found(both, "docker.io", "me/app"),
            pair("c", "d"),
            "the name that was typed is the closest"
        );
        assert_eq!(found(both, "my.docker.io", "me/app"), None);
    }

    #[test]
    fn the_helper_of_docker_hub_is_found_under_each_of_its_names() {
        for key in ["https://index.docker.io/v1/", "index.docker.io", "docker.io"] {
            let logins: Logins =
                serde_json::from_str(&format!(r#"{{"credHelpers": {{"{key}": "test"}}}}"#)).unwrap();
            assert_eq!(logins.helper(&place("docker.io", "me/app")), Some("test"), "{key}");
            assert_eq!(logins.helper(&place("host.example", "me/app")), None, "{key}");
        }
    }

    #[test]
    fn a_login_that_is_none_is_refused_without_showing_it() {
        for auth in ["!", "YQ=="] {
            let logins: Logins =
                serde_json::from_str(&format!(r#"{{"auths":{{"h.example":{{"auth":"{auth}"}}}}}}"#)).unwrap();
            let refused =
                format!("{:?}", logins.find(Path::new("auth.json"), &place("h.example", "x")).unwrap_err());
            assert!(refused.contains("is not NAME:PASSWORD") && !refused.contains("YQ"), "{refused}");
        }
    }

    #[test]
    fn a_password_is_in_no_message() {
        let credentials = Credentials { user: "u".into(), password: "secret".into(), source: "s".into() };
        assert_eq!(format!("{credentials:?}"), "u (from s)");
        assert_eq!(credentials.basic(), "Basic dTpzZWNyZXQ=");
    }
}
