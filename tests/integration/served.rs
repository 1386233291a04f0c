//! The emulator inside the test process.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use millpond_emulator::{Emulator, FaultScript, ManualClock, RunningEmulator};
use tokio::runtime::Runtime;

/// 2026-03-01T12:00:00Z, the time on the emulator's clock.
pub const NOW: Duration = Duration::from_secs(1_772_366_400);

/// A served directory of tables; ends when dropped.
pub struct Served {
    runtime: Runtime,
    emulator: Option<RunningEmulator>,
    /// The endpoint, for `--emulator`.
    pub url: String,
}

impl Served {
    /// Serves `data/<project>/<dataset>/<table>/*.parquet` with three streams per session.
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, FaultScript::new())
    }

    /// As [`start`](Self::start), with faults.
    pub fn start_with(data: &Path, faults: FaultScript) -> Self {
        let runtime = Runtime::new().unwrap();
        let emulator = Emulator::builder()
            .data_dir(data)
            .streams(NonZeroU32::new(3).unwrap())
            .message_bytes(64 << 10)
            .clock(Arc::new(ManualClock::new(UNIX_EPOCH + NOW)))
            .faults(faults);
        let emulator = runtime.block_on(emulator.start()).unwrap();
        Self {
            url: emulator.endpoint(),
            runtime,
            emulator: Some(emulator),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(emulator) = self.emulator.take() {
            self.runtime.block_on(emulator.shutdown());
        }
    }
}
