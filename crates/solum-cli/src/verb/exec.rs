//! `solum exec`: a kernel and an initramfs that exist already.

use solum_spec::description::Network;

use solum_vm::Boot;

use crate::arguments::Exec;
use crate::failure::Failure;
use crate::launch::{self, Launch};

/// Boots them and gives back the exit status.
pub fn exec(arguments: &Exec) -> Result<u8, Failure> {
    let launch = Launch {
        name: launch::file_stem(&arguments.initramfs),
        boot: Boot::Kernel { kernel: arguments.kernel.clone(), initramfs: arguments.initramfs.clone() },
        kernel_config: None,
        around: &arguments.around,
        shares: &[],
        network: &Network::Automatic,
        grace_seconds: 10,
        says_hello: false,
        has_console: false,
    };
    launch.boot()
}
