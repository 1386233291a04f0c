#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn the_high_water_line_is_read_in_kib() {
    let status = "Name:\tx\nVmPeak:\t  99 kB\nVmHWM:\t     812 kB\nVmRSS:\t 7 kB\n";
    assert_eq!(high_water_of(status), Some(812 * 1024));
    assert_eq!(high_water_of("Name:\tx\n"), None);
    assert_eq!(high_water_of("VmHWM: many kB\n"), None);
}

#[test]
fn touched_memory_is_seen() {
    let mut sampler = ProcessSampler::new();
    let before = sampler.resident_bytes().unwrap();
    let block = std::hint::black_box(vec![1u8; 96 << 20]);
    let after = sampler.resident_bytes().unwrap();
    assert!(after >= before + (64 << 20), "{before} {after}");
    if cfg!(target_os = "linux") {
        assert!(sampler.high_water_bytes().unwrap() >= before + (64 << 20));
    }
    drop(block);
}
