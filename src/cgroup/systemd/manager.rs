//! What is asked of systemd's manager.
//!
//! Reference: org.freedesktop.systemd1(5).

use super::BusError;
use super::bus::Bus;
use super::message::{Body, Message, Method};
use crate::plan::cgroup::UnitProperty;

const fn manager(member: &'static str) -> Method {
    Method {
        destination: "org.freedesktop.systemd1",
        path: "/org/freedesktop/systemd1",
        interface: "org.freedesktop.systemd1.Manager",
        member,
    }
}

const ADD_MATCH: Method = Method {
    destination: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
    member: "AddMatch",
};

const GET: Method = Method {
    destination: "org.freedesktop.systemd1",
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.DBus.Properties",
    member: "Get",
};

/// Without this rule the bus would not pass on the ends of jobs.
const RULE: &str = "type='signal',sender='org.freedesktop.systemd1',\
                    interface='org.freedesktop.systemd1.Manager',member='JobRemoved'";

/// A connection to a manager that tells of its jobs.
#[derive(Debug)]
pub(in crate::cgroup) struct Manager {
    bus: Bus,
    version: u32,
}

impl Manager {
    /// Connects to the manager of the system, or of this user.
    ///
    /// # Errors
    /// [`BusError`].
    pub(in crate::cgroup) fn open(user: bool) -> Result<Self, BusError> {
        Self::over(Bus::open(user)?)
    }

    /// Takes a connection.
    pub(super) fn over(mut bus: Bus) -> Result<Self, BusError> {
        // Directly at systemd there is no bus to ask, and no need to.
        if bus.has_bus() {
            bus.call(&ADD_MATCH, Body::Texts(&[RULE]))?;
        }
        match bus.call(&manager("Subscribe"), Body::Empty) {
            Err(error) if error.is("AlreadySubscribed") => {}
            other => drop(other?),
        }
        let interface = "org.freedesktop.systemd1.Manager";
        let said = bus.call(&GET, Body::Texts(&[interface, "Version"]))?;
        bus.believe(&said);
        let version = said.texts()?.first().map(|text| parse_version(text)).unwrap_or_default();
        Ok(Self { bus, version })
    }

    /// The number of systemd's release; 0 if it does not say.
    pub(in crate::cgroup) fn version(&self) -> u32 {
        self.version
    }

    /// Starts a transient unit, and waits until it is.
    ///
    /// # Errors
    /// [`BusError::Job`] when it is not.
    pub(super) fn start(
        &mut self,
        unit: &str,
        properties: &[UnitProperty],
    ) -> Result<(), BusError> {
        let method = manager("StartTransientUnit");
        let answer = match self.bus.call(&method, Body::Start(unit, "replace", properties)) {
            Err(error) if error.is("UnitExists") => {
                // One that failed stays until it is reset; one that lives stays all the same.
                let _ = self.reset(unit);
                self.bus.call(&method, Body::Start(unit, "replace", properties))?
            }
            other => other?,
        };
        match self.finish(&answer)?.as_str() {
            "done" => Ok(()),
            result => {
                let result = result.to_owned();
                let _ = self.reset(unit);
                Err(BusError::Job { result })
            }
        }
    }

    /// Stops a unit, and waits until it is; one that is gone is stopped.
    ///
    /// # Errors
    /// [`BusError`].
    pub(in crate::cgroup) fn stop(&mut self, unit: &str) -> Result<(), BusError> {
        let stopped = self.bus.call(&manager("StopUnit"), Body::Texts(&[unit, "replace"]));
        match stopped {
            Err(error) if error.is("NoSuchUnit") => return Ok(()),
            // However it ended: what is left of the group is removed by its files.
            other => drop(self.finish(&other?)?),
        }
        let _ = self.reset(unit);
        Ok(())
    }

    /// Changes properties of a unit, until the next boot.
    ///
    /// # Errors
    /// [`BusError`].
    pub(in crate::cgroup) fn set(
        &mut self,
        unit: &str,
        properties: &[UnitProperty],
    ) -> Result<(), BusError> {
        if properties.is_empty() {
            return Ok(());
        }
        self.bus.call(&manager("SetUnitProperties"), Body::Set(unit, true, properties)).map(drop)
    }

    fn reset(&mut self, unit: &str) -> Result<(), BusError> {
        self.bus.call(&manager("ResetFailedUnit"), Body::Texts(&[unit])).map(drop)
    }

    fn finish(&mut self, answer: &Message) -> Result<String, BusError> {
        let job = answer.texts()?.into_iter().next().unwrap_or_default();
        self.bus.await_job(&job)
    }
}

/// The first number in texts such as `252.38-1~deb12u1`, `v258` and `"245.4"`.
fn parse_version(text: &str) -> u32 {
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end).and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_however_they_are_written() {
        let read: Vec<_> =
            ["252.38-1~deb12u1", "v258.1", "\"245\"", "none"].map(parse_version).into();

        assert_eq!(read, [252, 258, 245, 0]);
    }
}
