//! The first process of a container, found on this machine: a signal that goes straight to it leaves the container's
//! restart policy alone, where one by the engine may end it.

use std::{fs, os::fd::OwnedFd};

use rustix::process::{self, Pid, PidfdFlags};

use super::own::ids;
use crate::{
    observe::{Bearer, BearerState, Way},
    values::{ContainerId, Signal},
};

/// A first process of which it is proven whose it is. Whatever the number of the process is given to later, this means
/// the one that was found.
pub(super) struct FirstProcess(OwnedFd);

impl FirstProcess {
    /// The first process of a container as the engine has just described it; `None` where it can't be proven that this
    /// is the one, or where it takes no signals from us.
    ///
    /// It is opened first and looked at then: a number that was given to another process meanwhile can't deceive.
    pub(super) fn find(container: &Bearer) -> Option<Self> {
        let number = container.pid?;
        let pid = Pid::from_raw(number)?;
        let process = process::pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let file = |name| fs::read_to_string(format!("/proc/{number}/{name}"));
        let is_it = is_in(&file("cgroup").ok()?, &container.id) && is_first(&file("status").ok()?);
        // Who may send it nothing must not count on it.
        let is_ours_to_signal = process::test_kill_process(pid).is_ok();
        (is_it && is_ours_to_signal).then_some(Self(process))
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), rustix::io::Errno> {
        let signal = process::Signal::from_named_raw(signal.number());
        let signal = signal.ok_or(rustix::io::Errno::INVAL)?;
        process::pidfd_send_signal(&self.0, signal)
    }
}

/// The way that a signal takes to this container, which was inspected just now at an engine of this machine.
pub(super) fn way(container: &Bearer) -> Option<Way> {
    if container.state != BearerState::Running {
        return None;
    }
    Some(match FirstProcess::find(container) {
        Some(_) => Way::Direct,
        None => Way::Engine,
    })
}

/// True if a text of `/proc/PID/cgroup` places the process in this container. Inside of nested engines the last id of a
/// line is the innermost container.
///
/// <https://man7.org/linux/man-pages/man7/cgroups.7.html>
fn is_in(cgroup: &str, container: &ContainerId) -> bool {
    cgroup
        .lines()
        .any(|line| ids(line).last() == Some(container.as_str()))
}

/// True if a text of `/proc/PID/status` is that of the first process of a PID namespace below ours: it has a number in
/// each, from ours to its own. A process that shares our namespace has one number, and may be anybody's.
///
/// <https://man7.org/linux/man-pages/man5/proc_pid_status.5.html>
fn is_first(status: &str) -> bool {
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let numbers: Vec<_> = numbers
        .into_iter()
        .flat_map(str::split_whitespace)
        .collect();
    matches!(numbers[..], [_, .., "1"])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "2ec31d1c2b8b0a20c7f8395c36464537d760a4933e2037b26e8250624f5921b8";
    const OTHER: &str = "66b83d8c575bb0df0a5dbb310b317daba0528798ee6f79d555d75e91a123b127";

    #[test]
    fn a_process_is_of_the_container_that_its_control_group_names() {
        let id = ContainerId::parse(ID).unwrap();
        for (line, is_it) in [
            // Version 1.
            (
                format!("12:pids:/docker/{ID}\n11:cpuset:/docker/{ID}"),
                true,
            ),
            (format!("12:pids:/\n11:cpuset:/docker/{ID}"), true),
            // Version 2, by systemd, by the engine itself, and seen from another container.
            (format!("0::/system.slice/docker-{ID}.scope"), true),
            (format!("0::/docker/{ID}"), true),
            (format!("0::/../docker-{ID}.scope"), true),
            // What a first process such as systemd makes for itself.
            (
                format!("0::/system.slice/docker-{ID}.scope/init.scope"),
                true,
            ),
            // Podman's.
            (
                format!("0::/machine.slice/libpod-{ID}.scope/container"),
                true,
            ),
            (format!("0::/kubepods/pod7/cri-containerd-{ID}.scope"), true),
            // An engine within this container has a container of its own.
            (format!("0::/docker/{ID}/docker/{OTHER}"), false),
            (format!("0::/docker/{OTHER}/docker/{ID}"), true),
            (format!("0::/docker/{OTHER}"), false),
            (format!("0::/docker/{}", &ID[..63]), false),
            (format!("0::/docker/{ID}0"), false),
            ("0::/user.slice".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(is_in(&line, &id), is_it, "{line}");
        }
        // A short id is in many a text.
        let short = ContainerId::parse(&ID[..12]).unwrap();
        assert!(!is_in(&format!("0::/docker/{}", &ID[..12]), &short));
    }

    #[test]
    fn a_first_process_has_the_number_one_in_a_namespace_below_ours() {
        for (numbers, is_it) in [
            ("12386\t1", true),
            ("12386\t40\t1", true),
            // Not the first; in our namespace; the first of ours.
            ("12386\t7", false),
            ("12386", false),
            ("1", false),
            ("", false),
        ] {
            let status = format!("Name:\tnginx\nPid:\t12386\nNSpid:\t{numbers}\nNSpgid:\t1\n");
            assert_eq!(is_first(&status), is_it, "{numbers}");
        }
        assert!(!is_first("Name:\tnginx\n"), "kernels before 4.1 have none");
    }
}
