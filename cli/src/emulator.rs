//! `millpond emulator`.

use millpond::ErrorKind;
use millpond_emulator::{Emulator, RunningEmulator, StartError};

use crate::args::EmulatorArgs;
use crate::failure::Failure;
use crate::{console, runtime, signals};

/// Serves tables until a signal, which is how a server is meant to end.
pub(crate) fn emulator(args: &EmulatorArgs) -> Result<(), Failure> {
    runtime::block_on(None, async {
        let mut builder = Emulator::builder().data_dir(&args.data).port(args.port);
        if let Some(streams) = args.streams {
            builder = builder.streams(streams);
        }
        let running = builder.start().await.map_err(refused)?;
        console::print(&format!(
            "serving {} at {}\nuse it with: --emulator {} (Ctrl-C ends it)\n",
            args.data.display(),
            running.endpoint(),
            running.endpoint()
        ));
        serve_until_signal(running).await
    })
}

/// Waits for a signal, then closes the port.
pub(crate) async fn serve_until_signal(running: RunningEmulator) -> Result<(), Failure> {
    signals::received().await?;
    running.shutdown().await;
    Ok(())
}

/// Why the emulator did not start, and what to change.
pub(crate) fn refused(error: StartError) -> Failure {
    match error {
        StartError::Listen { port, source } if source.kind() == std::io::ErrorKind::AddrInUse => {
            Failure::new(
                ErrorKind::Config,
                format!(
                    "port {port} of 127.0.0.1 is in use, give another --port or 0 for any free one"
                ),
            )
        }
        StartError::Listen { port, source } => Failure::new(
            ErrorKind::Config,
            format!("cannot listen on 127.0.0.1:{port}: {source}"),
        ),
        other => Failure::new(ErrorKind::NotFound, other.to_string()),
    }
}
