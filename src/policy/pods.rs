//! Who may join whose namespaces: which containers are of one pod. Pure.
//!
//! A bundle names namespaces by path, and whoever writes a bundle can write any path. So the path
//! is not believed. It must lead to a live container of the same state root, and the two must be
//! related, which takes one of:
//!
//! - both are of the same sandbox, by the annotations that Kubernetes' engines set;
//! - both are Podman's, and it is Podman's monitor that asks;
//! - the state root is an engine's own, and neither is of a sandbox: the engine keeps together
//!   what its user wants together, as Docker does.
//!
//! At the default root, where containers made by hand lie beside Podman's, the last does not hold.

/// Annotations that name the sandbox: of containerd, and of CRI-O and Podman.
const SANDBOX: [&str; 2] = ["io.kubernetes.cri.sandbox-id", "io.kubernetes.cri-o.SandboxID"];

/// Annotations that say whether the container is the sandbox itself.
const KIND: [&str; 2] = ["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"];

/// Who manages the container.
const MANAGER: &str = "io.container.manager";

/// Managers, and the program that asks in their name.
const MONITORS: [(&str, &str); 1] = [("libpod", "conmon")];

/// What the annotations of a container say of its pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// The id of the container that the pod is built around.
    pub sandbox: Option<String>,
    /// Whether this is that container.
    pub is_sandbox: bool,
    /// The engine.
    pub manager: Option<String>,
}

impl Claims {
    /// Reads annotations.
    pub fn of<'a>(annotations: impl Iterator<Item = (&'a String, &'a String)>) -> Self {
        let mut claims = Self::default();
        for (name, value) in annotations.filter(|(_, value)| !value.is_empty()) {
            if SANDBOX.contains(&name.as_str()) {
                claims.sandbox = Some(value.clone());
            } else if KIND.contains(&name.as_str()) {
                claims.is_sandbox = value == "sandbox";
            } else if name == MANAGER {
                claims.manager = Some(value.clone());
            }
        }
        claims
    }
}

/// Where and by whom it is asked.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// Whether the state root is the one that nobody chose.
    pub at_default_root: bool,
    /// The name of the calling program.
    pub caller: &'a str,
}

/// Whether a container with the claims `ours` may join container `id`, whose are `theirs`.
///
/// # Errors
/// Why not, as a clause about the namespace.
pub fn check_related(
    asking: Asking<'_>,
    ours: &Claims,
    id: &str,
    theirs: &Claims,
) -> Result<(), String> {
    let same_sandbox = ours.sandbox.is_some() && ours.sandbox == theirs.sandbox;
    let monitor = |manager: &String| MONITORS.contains(&(manager.as_str(), asking.caller));
    let same_manager = ours.manager == theirs.manager && ours.manager.as_ref().is_some_and(monitor);
    let no_sandbox = ours.sandbox.is_none() && theirs.sandbox.is_none();
    if same_sandbox || same_manager || (no_sandbox && !asking.at_default_root) {
        return Ok(());
    }
    Err(match (&ours.sandbox, &theirs.sandbox) {
        (Some(ours), _) => format!("leads to container `{id}`, which is not of the pod `{ours}`"),
        (None, Some(pod)) => format!("leads to container `{id}` of the pod `{pod}`"),
        (None, None) => format!("leads to container `{id}`, which nothing relates to this one"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGINE: Asking<'_> = Asking { at_default_root: false, caller: "containerd-shim" };
    const HAND: Asking<'_> = Asking { at_default_root: true, caller: "bash" };
    const PODMAN: Asking<'_> = Asking { at_default_root: true, caller: "conmon" };

    fn claims(sandbox: Option<&str>, manager: Option<&str>) -> Claims {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Claims { sandbox: owned(sandbox), is_sandbox: false, manager: owned(manager) }
    }

    #[test]
    fn containers_of_one_sandbox_are_related_anywhere() {
        let pod = claims(Some("s"), None);

        for asking in [ENGINE, HAND] {
            assert_eq!(check_related(asking, &pod, "s", &pod), Ok(()));
        }
    }

    #[test]
    fn another_pod_is_named() {
        let (ours, theirs) = (claims(Some("s"), None), claims(Some("t"), None));

        let why = check_related(ENGINE, &ours, "t", &theirs).unwrap_err();

        assert_eq!(why, "leads to container `t`, which is not of the pod `s`");
        let none = Claims::default();
        let why = check_related(ENGINE, &none, "t", &theirs).unwrap_err();
        assert_eq!(why, "leads to container `t` of the pod `t`");
        assert!(check_related(ENGINE, &ours, "c", &none).is_err());
    }

    #[test]
    fn an_engines_own_root_relates_what_is_of_no_sandbox() {
        let none = Claims::default();

        assert_eq!(check_related(ENGINE, &none, "c", &none), Ok(()));
        let why = check_related(HAND, &none, "c", &none).unwrap_err();
        assert_eq!(why, "leads to container `c`, which nothing relates to this one");
    }

    #[test]
    fn podmans_word_counts_from_podmans_monitor_only() {
        let podman = claims(None, Some("libpod"));

        assert_eq!(check_related(PODMAN, &podman, "c", &podman), Ok(()));
        assert!(check_related(HAND, &podman, "c", &podman).is_err());
        assert!(check_related(PODMAN, &podman, "c", &Claims::default()).is_err());
        assert!(check_related(PODMAN, &claims(None, Some("x")), "c", &podman).is_err());
    }

    #[test]
    fn annotations_of_every_engine_are_read() {
        let read = |name: &str| {
            let (name, value) = (name.to_owned(), "v".to_owned());
            Claims::of([(&name, &value)].into_iter())
        };

        assert_eq!(read(SANDBOX[0]), claims(Some("v"), None));
        assert_eq!(read(SANDBOX[1]), claims(Some("v"), None));
        assert_eq!(read(MANAGER), claims(None, Some("v")));
    }
}
