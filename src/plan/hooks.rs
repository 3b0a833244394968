//! The chapter on hooks: programs that the bundle has run at points of its container's life.
//!
//! Those of the host run with the credentials of whoever calls casemate, and each is a step that
//! the policy has judged. Those of the image (`startContainer`) run as the container's program
//! does. Spec: runtime-spec, config.md, "POSIX-platform Hooks", and runtime.md, "Lifecycle".

use oci_spec::runtime::{Hook as Asked, Hooks};
use serde::{Deserialize, Serialize};

use super::build::PlanError;
use super::text::Text;

/// When a hook is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// Once the container's namespaces and mounts exist, on the host. The older name.
    Prestart,
    /// The same.
    CreateRuntime,
    /// After those, on the mounts of the container, before they hide the host's.
    CreateContainer,
    /// After `start`, inside, as the program itself will be.
    StartContainer,
    /// Once the program runs, on the host.
    Poststart,
    /// Once the container is gone, on the host.
    Poststop,
}

impl Stage {
    /// All of them, in the order of a container's life.
    pub const ALL: [Self; 6] = [
        Self::Prestart,
        Self::CreateRuntime,
        Self::CreateContainer,
        Self::StartContainer,
        Self::Poststart,
        Self::Poststop,
    ];

    /// The word that config.json uses.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Prestart => "prestart",
            Self::CreateRuntime => "createRuntime",
            Self::CreateContainer => "createContainer",
            Self::StartContainer => "startContainer",
            Self::Poststart => "poststart",
            Self::Poststop => "poststop",
        }
    }

    /// What `hooks` has for this point.
    #[must_use]
    pub fn of(self, hooks: &Hooks) -> &[Asked] {
        let list = match self {
            Self::Prestart => hooks.prestart(),
            Self::CreateRuntime => hooks.create_runtime(),
            Self::CreateContainer => hooks.create_container(),
            Self::StartContainer => hooks.start_container(),
            Self::Poststart => hooks.poststart(),
            Self::Poststop => hooks.poststop(),
        };
        list.as_deref().unwrap_or_default()
    }

    /// The `status` that its hooks are told. Spec: runtime-spec, runtime.md, "State" and
    /// "Lifecycle": `prestart` is called when the environment has been created.
    #[must_use]
    pub fn status(self) -> &'static str {
        match self {
            Self::CreateRuntime | Self::CreateContainer => "creating",
            Self::Prestart | Self::StartContainer => "created",
            Self::Poststart => "running",
            Self::Poststop => "stopped",
        }
    }
}

/// One hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// When it is run.
    pub stage: Stage,
    /// Which of its list, from 0.
    pub index: u16,
    /// The program: a path on the host, but for `startContainer` one inside.
    pub path: Text,
    /// Its arguments; the first is its name.
    pub arguments: Vec<Text>,
    /// Its environment. Without one it has that of its parent: the caller's, and inside that of
    /// the container's program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Vec<Text>>,
    /// How long it may take, in seconds; as long as it wants, without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_sec: Option<u32>,
}

impl std::fmt::Display for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} hook #{}", self.stage.word(), self.index)
    }
}

/// Whether a hook may make files in the container's root: to mount onto them, as those for GPUs
/// do. All but Docker's, which sets a network up; every container of Docker's has it.
pub(super) fn makes_files(asked: &Asked) -> bool {
    let name = asked.args().as_ref().and_then(|arguments| arguments.first());
    name.is_none_or(|name| name != "libnetwork-setkey")
}

/// The hooks of one point, in their order, each with its address.
pub(super) fn of_stage(
    hooks: &Hooks,
    stage: Stage,
    errors: &mut Vec<PlanError>,
) -> Vec<(Hook, String)> {
    let numbered = (0..=u16::MAX).zip(stage.of(hooks));
    let converted = numbered.filter_map(|(index, asked)| {
        let at = format!("/hooks/{}/{index}", stage.word());
        match convert(asked, stage, index) {
            Ok(hook) => Some((hook, at)),
            Err(error) => {
                errors.push(PlanError::new(at, error.to_string()));
                None
            }
        }
    });
    converted.collect()
}

fn convert(asked: &Asked, stage: Stage, index: u16) -> Result<Hook, super::text::HoldsNul> {
    let texts = |list: &[String]| list.iter().map(|text| Text::new(text.as_str())).collect();
    let path = Text::new(asked.path().to_string_lossy().as_ref())?;
    let arguments = match asked.args().as_deref() {
        None | Some([]) => vec![path.clone()],
        Some(arguments) => texts(arguments)?,
    };
    Ok(Hook {
        stage,
        index,
        path,
        arguments,
        environment: asked.env().as_deref().map(texts).transpose()?,
        timeout_sec: asked.timeout().map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hooks(text: &str) -> Hooks {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn hooks_keep_their_order_and_their_address() {
        let hooks = hooks(
            r#"{"prestart": [{"path": "/a"}, {"path": "/b"}], "poststop": [{"path": "/c"}]}"#,
        );

        let found = of_stage(&hooks, Stage::Prestart, &mut Vec::new());

        let found: Vec<_> =
            found.iter().map(|(hook, at)| (hook.path.as_str(), hook.index, at.as_str())).collect();
        assert_eq!(found, [("/a", 0, "/hooks/prestart/0"), ("/b", 1, "/hooks/prestart/1")]);
    }

    #[test]
    fn a_hook_without_arguments_is_called_by_its_path() {
        let hooks = hooks(r#"{"poststart": [{"path": "/bin/x"}]}"#);

        let (hook, _) = of_stage(&hooks, Stage::Poststart, &mut Vec::new()).remove(0);

        assert_eq!(hook.arguments, [Text::new("/bin/x").unwrap()]);
        assert_eq!((hook.environment, hook.timeout_sec), (None, None));
    }

    #[test]
    fn an_empty_environment_is_not_the_same_as_none() {
        let hooks = hooks(r#"{"poststart": [{"path": "/x", "env": [], "timeout": 5}]}"#);

        let (hook, _) = of_stage(&hooks, Stage::Poststart, &mut Vec::new()).remove(0);

        assert_eq!((hook.environment, hook.timeout_sec), (Some(Vec::new()), Some(5)));
    }

    #[test]
    fn a_nul_is_a_fault_at_the_hooks_address() {
        let hooks = hooks(r#"{"poststop": [{"path": "/x", "args": ["a\u0000b"]}]}"#);
        let mut errors = Vec::new();

        assert!(of_stage(&hooks, Stage::Poststop, &mut errors).is_empty());
        assert_eq!(errors[0].to_string(), "/hooks/poststop/0: holds a NUL at byte 1");
    }
}
