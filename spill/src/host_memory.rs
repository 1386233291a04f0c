//! How much memory this process may take when the user does not say. Owns the default limit; asks the operating system
//! once and keeps nothing.

use sysinfo::{MemoryRefreshKind, ProcessRefreshKind, ProcessesToUpdate, RefreshKind, System};

/// Part of the machine (or of its control group) that is taken by default, in percent. The rest is for the operating
/// system's file cache, which spilling and Parquet writing live from, and for the user's other programs.
const DEFAULT_PERCENT: u64 = 70;

/// Taken when the operating system tells nothing at all, in bytes.
const BLIND_LIMIT_BYTES: u64 = 512 << 20;

/// The memory limit used when none is given, in bytes: 70 % of the smaller of the host's memory and the limit of the
/// control groups this process is in (its own and all above it).
pub fn default_memory_limit() -> u64 {
    let refresh = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let Ok(mut system) = System::new_with_specifics(refresh) else {
        return memory_limit_for(0, None);
    };
    let host_bytes = system.total_memory();
    let group = sysinfo::get_current_pid().ok().and_then(|pid| {
        system.refresh_processes_specifics(
            ProcessesToUpdate::Some(&[pid]),
            false,
            ProcessRefreshKind::nothing(),
        );
        system.process(pid)?.cgroup_limits()
    });
    memory_limit_for(host_bytes, group.map(|g| g.total_memory))
}

/// The arithmetic of [`default_memory_limit`] for given numbers of bytes. A host size of 0 means unknown; a group limit
/// of `None` or 0 means no limit. When nothing is known the answer is 512 MiB.
pub fn memory_limit_for(host_bytes: u64, group_bytes: Option<u64>) -> u64 {
    let known = [Some(host_bytes), group_bytes];
    match known.into_iter().flatten().filter(|bytes| *bytes > 0).min() {
        // Divide first: a group limit may be close to u64::MAX.
        Some(bytes) => bytes / 100 * DEFAULT_PERCENT,
        None => BLIND_LIMIT_BYTES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_of_host_and_group_counts() {
        assert_eq!(memory_limit_for(1000, None), 700);
        assert_eq!(memory_limit_for(1000, Some(500)), 350);
        assert_eq!(memory_limit_for(1000, Some(u64::MAX)), 700);
        assert_eq!(memory_limit_for(0, Some(500)), 350);
        assert_eq!(memory_limit_for(1000, Some(0)), 700);
        assert_eq!(memory_limit_for(0, None), BLIND_LIMIT_BYTES);
    }

    #[test]
    fn this_machine_has_a_limit() {
        let limit = default_memory_limit();
        assert!(limit > 64 << 20, "{limit}");
    }
}
