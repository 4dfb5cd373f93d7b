//! What surrounds the processes: namespaces, containers, logins, `/dev/shm`, memory limits, the user.

use super::check::{read, Check, Verdict};
use crate::describe::user;
use std::path::Path;

/// The kernel's own first IPC namespace: PROC_IPC_INIT_INO in its `proc_ns.h`.
const FIRST_IPC: &str = "ipc:[4026531839]";

pub fn all(root: &Path) -> Vec<Check> {
    let checks = [
        ipc_namespace(root),
        container(root),
        remove_ipc(root, uzers::get_effective_uid()),
        tables(root),
        dev_shm(root),
        memory(root),
    ];
    checks.into()
}

/// Returns whether the kernel removes a segment with its last attachment (`proc_sys_kernel(5)`).
pub fn removes_with_last(root: &Path) -> bool {
    read(root, "/proc/sys/kernel/shm_rmid_forced").is_some_and(|text| text.trim() == "1")
}

fn ipc_namespace(root: &Path) -> Check {
    let name = "IPC namespace";
    let Ok(mine) = std::fs::read_link(root.join("proc/self/ns/ipc")) else {
        return Check::note(name, "this system does not tell", "");
    };
    let mine = mine.to_string_lossy().into_owned();
    match mine == FIRST_IPC {
        true => Check::fine(name, format!("the host's ({mine})")),
        false => Check::note(name, format!("not the host's ({mine})"), "processes share cortexes only within it: start containers that are to share with the same one (`--ipc=container:NAME`, `--ipc=host`, hostIPC)"),
    }
}

fn container(root: &Path) -> Check {
    let name = "container";
    let sandbox = read(root, "/proc/version").unwrap_or_default();
    if sandbox.contains("gVisor") {
        return Check::new(
            name,
            Verdict::Warning,
            "gVisor",
            "it ignores SEM_UNDO: see below whether a dead holder is passed",
        );
    }
    for (path, what) in [("/.dockerenv", "Docker"), ("/run/.containerenv", "Podman")] {
        if root.join(path.trim_start_matches('/')).exists() {
            return Check::note(
                name,
                format!("{what} ({path})"),
                "PID namespaces do not matter; the IPC namespace does, see above",
            );
        }
    }
    Check::fine(name, "no sign of one")
}

/// The last `RemoveIPC=` of logind's files, in the order in which systemd reads them (`logind.conf(5)`).
fn remove_ipc_setting(root: &Path) -> Option<String> {
    let mut texts: Vec<String> = read(root, "/etc/systemd/logind.conf").into_iter().collect();
    let mut files: Vec<(std::ffi::OsString, usize, std::path::PathBuf)> = Vec::new();
    // A file hides those of the same name in the folders after it.
    let folders = [
        "etc/systemd",
        "run/systemd",
        "usr/local/lib/systemd",
        "usr/lib/systemd",
    ];
    for (rank, folder) in folders.iter().enumerate() {
        let entries = std::fs::read_dir(root.join(folder).join("logind.conf.d"));
        for entry in entries.into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|kind| kind == "conf") {
                files.push((entry.file_name(), rank, entry.path()));
            }
        }
    }
    files.sort();
    files.dedup_by(|later, earlier| later.0 == earlier.0);
    texts.extend(
        files
            .iter()
            .filter_map(|file| std::fs::read_to_string(&file.2).ok()),
    );
    let mut setting = None;
    for text in texts {
        for line in text.lines() {
            if let Some((name, value)) = line.split_once('=') {
                if name.trim() == "RemoveIPC" {
                    setting = Some(value.trim().to_owned());
                }
            }
        }
    }
    setting
}

fn remove_ipc(root: &Path, uid: u32) -> Check {
    let name = "RemoveIPC";
    if !root.join("run/systemd/system").exists() {
        return Check::fine(
            name,
            "systemd does not run here: nothing is removed at logout",
        );
    }
    let setting = remove_ipc_setting(root);
    let is_off = setting.as_deref().is_some_and(|value| {
        ["no", "off", "false", "0", "n", "f"].contains(&value.to_ascii_lowercase().as_str())
    });
    // systemd spares root and system users, whose numbers end at 999 unless it was built otherwise.
    match (is_off, uid < 1000) {
        (true, _) => Check::fine(name, "no: logind leaves a user's objects alone at logout"),
        (false, true) => Check::fine(name, format!("in force, but not for system users such as {} ({uid})", user(uid))),
        (false, false) => Check::new(name, Verdict::Warning, format!("in force: when user {} ({uid}) has logged out everywhere, logind removes the user's cortexes", user(uid)), "set RemoveIPC=no in /etc/systemd/logind.conf and restart systemd-logind, or run the service as a system user, or `loginctl enable-linger`"),
    }
}

fn tables(root: &Path) -> Check {
    match read(root, "/proc/sysvipc/shm").is_some() && read(root, "/proc/sysvipc/sem").is_some() {
        true => Check::fine("tables", "/proc/sysvipc tells which segments and semaphore sets exist"),
        false => Check::note("tables", "/proc/sysvipc cannot be read", "`list`, `top` and `reclaim --all` ask `ipcs` where it is not Linux; what is given a key works everywhere"),
    }
}

fn dev_shm(root: &Path) -> Check {
    let mounts = read(root, "/proc/self/mounts").unwrap_or_default();
    let line = mounts
        .lines()
        .find(|line| line.split_whitespace().nth(1) == Some("/dev/shm"));
    let options = line.and_then(|line| line.split_whitespace().nth(3));
    let size = options.and_then(|all| all.split(',').find(|option| option.starts_with("size=")));
    let found = match (line, size) {
        (None, _) => "not mounted".to_owned(),
        (Some(_), Some(size)) => format!("mounted, {size}"),
        (Some(_), None) => "mounted".to_owned(),
    };
    Check::fine("/dev/shm", format!("{found}; not used: System V memory is not a file there, and its size does not limit a cortex"))
}

fn memory(root: &Path) -> Check {
    let name = "memory limit";
    let files = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    match files.iter().find_map(|path| read(root, path)) {
        Some(text) => match text.trim().parse::<u64>() {
            Ok(limit) if limit < 1 << 60 => Check::note(name, format!("{limit} bytes for this control group"), "a cortex counts where its pages were first touched, and stays counted until it is removed"),
            _ => Check::fine(name, "none for this control group"),
        },
        None => Check::fine(name, "none that can be seen from here"),
    }
}
