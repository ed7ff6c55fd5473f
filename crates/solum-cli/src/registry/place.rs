//! Where a repository really is. Docker Hub is not at the host that its images are named after.

use solum_image::oci::Reference;

/// Docker Hub as it is written in names of images.
const HUB: &str = "docker.io";
/// As it was written once (github.com/distribution/reference, `legacyDefaultDomain`).
const HUB_ONCE: &str = "index.docker.io";
/// The host of its registry (github.com/containers/image, `dockerRegistry`).
const HUB_HOST: &str = "registry-1.docker.io";
/// Under which Docker keeps its login (github.com/docker/cli, `authConfigKey`).
const HUB_LOGIN: &str = "https://index.docker.io/v1/";
/// Where it has names of one word (github.com/distribution/reference, `officialRepoPrefix`).
const OFFICIAL: &str = "library/";

/// A repository of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The registry as people name it.
    pub registry: String,
    /// The host and port of its server.
    pub host: String,
    /// The repository there.
    pub repository: String,
}

impl Place {
    /// Where what a reference names is.
    pub fn of(reference: &Reference) -> Self {
        let Reference { registry, repository, .. } = reference;
        if ![HUB, HUB_ONCE, HUB_HOST].contains(&registry.as_str()) {
            let (host, repository) = (registry.clone(), repository.clone());
            return Self { registry: registry.clone(), host, repository };
        }
        let of_one_word = if repository.contains('/') { "" } else { OFFICIAL };
        let repository = format!("{of_one_word}{repository}");
        Self { registry: HUB.to_owned(), host: HUB_HOST.to_owned(), repository }
    }

    /// The names under which its login may be in a file, the closest first.
    pub fn names(&self) -> Vec<String> {
        let whole = format!("{}/{}", self.registry, self.repository);
        let ends = whole.match_indices('/').map(|(slash, _)| whole[..slash].to_owned());
        let mut names: Vec<String> = ends.chain([whole.clone()]).collect();
        names.reverse();
        if self.is_hub() {
            names.extend([HUB_ONCE, HUB_HOST].map(str::to_owned));
        }
        names
    }

    /// What a program that keeps logins calls the registry: as Docker does, then as Podman does.
    pub fn servers(&self) -> Vec<&str> {
        if self.is_hub() { vec![HUB_LOGIN, HUB, HUB_ONCE, HUB_HOST] } else { vec![&self.registry] }
    }

    /// What to do for the right to write there.
    pub fn asking_for_the_right(&self) -> String {
        match self.repository.strip_prefix(OFFICIAL) {
            Some(name) if self.is_hub() => {
                format!("write {HUB}/YOUR-NAME/{name}: names of one word are Docker's own there")
            }
            _ => format!("ask for the right to write to {}", self.repository),
        }
    }

    fn is_hub(&self) -> bool {
        self.host == HUB_HOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        Place::of(&text.parse().unwrap())
    }

    #[test]
    fn docker_hub_is_elsewhere() {
        for (text, host, repository) in [
            ("docker.io/me/app:1", "registry-1.docker.io", "me/app"),
            ("docker.io/app", "registry-1.docker.io", "library/app"),
            ("index.docker.io/me/app", "registry-1.docker.io", "me/app"),
            ("registry-1.docker.io/me/app", "registry-1.docker.io", "me/app"),
            ("registry.example:5000/app", "registry.example:5000", "app"),
            ("my.docker.io/app", "my.docker.io", "app"),
        ] {
            let place = place(text);
            assert_eq!((place.host.as_str(), place.repository.as_str()), (host, repository), "{text}");
        }
    }

    #[test]
    fn logins_have_the_names_that_docker_and_podman_give_them() {
        let hub = place("docker.io/me/app");
        assert_eq!(
            hub.names(),
            ["docker.io/me/app", "docker.io/me", "docker.io", "index.docker.io", "registry-1.docker.io"]
        );
        assert_eq!(place("index.docker.io/me/app"), hub);
        assert_eq!(hub.servers()[..2], ["https://index.docker.io/v1/", "docker.io"]);
        let other = place("host:5000/team/x");
        assert_eq!(other.names(), ["host:5000/team/x", "host:5000/team", "host:5000"]);
        assert_eq!(other.servers(), ["host:5000"]);
    }

    #[test]
    fn who_may_not_write_hears_what_to_do() {
        let hint = place("docker.io/app").asking_for_the_right();
        assert!(hint.starts_with("write docker.io/YOUR-NAME/app: "), "{hint}");
        for text in ["docker.io/me/app", "host.example/library/app"] {
            assert!(
                place(text).asking_for_the_right().starts_with("ask for the right to write to "),
                "{text}"
            );
        }
    }
}
