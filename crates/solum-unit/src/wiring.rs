//! From a unit's plan to open devices.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use solum_link::{LinkHost, Side};
use solum_spec::plan::{self, Plan};
use solum_spec::reason;

use crate::confinement::Devices;
use crate::runner::{Place, not_blocking};
use crate::{Device, Grant};

/// A device of which the descriptors have to be kept open until the unit runs.
pub enum Opened {
    One(OwnedFd),
    Two(OwnedFd, OwnedFd),
    /// It is open elsewhere.
    Nothing,
}

/// Opens everything that is plugged into a unit, in the order of its plugs.
pub fn open<P: Place>(
    place: &P,
    plan: &Plan,
    unit: &plan::Unit,
    listeners: &[Option<OwnedFd>],
) -> Result<Vec<Opened>, String> {
    unit.plugs
        .iter()
        .flat_map(|plug| &plug.devices)
        .map(|device| open_one(place, plan, *device, listeners))
        .collect()
}

fn open_one<P: Place>(
    place: &P,
    plan: &Plan,
    device: plan::Device,
    listeners: &[Option<OwnedFd>],
) -> Result<Opened, String> {
    let failed = |what: String| move |error: std::io::Error| format!("{what}: {}", reason(&error));
    let missing = || "a device of the plan is missing".to_owned();
    Ok(match device {
        plan::Device::Disk(index) => {
            let disk = plan.disks.get(index).ok_or_else(missing)?;
            Opened::One(place.disk(disk).map_err(failed(format!("disk {}", disk.name)))?)
        }
        plan::Device::Screen(index) => {
            let screen = plan.screens.get(index).ok_or_else(missing)?;
            let (memory, shown) = place.screen(screen).map_err(failed(format!("screen {}", screen.name)))?;
            Opened::Two(memory, shown)
        }
        plan::Device::Keys(index) => {
            let keys = plan.keys.get(index).ok_or_else(missing)?;
            Opened::One(place.keys(keys).and_then(not_blocking).map_err(failed("keyboard".to_owned()))?)
        }
        plan::Device::Listener(index) => {
            let socket = listeners.get(index).and_then(Option::as_ref).ok_or_else(missing)?;
            Opened::One(socket.try_clone().map_err(failed("listener".to_owned()))?)
        }
        plan::Device::Client(_) | plan::Device::Server(_) | plan::Device::Units => Opened::Nothing,
    })
}

/// What a unit is handed.
pub fn grants<'a>(
    unit: &'a plan::Unit,
    plan: &'a Plan,
    opened: &'a [Opened],
    links: &'a [LinkHost],
    controller: Option<&'a UnixStream>,
) -> Vec<Grant<'a>> {
    let mut opened = opened.iter();
    let granted = |plug: &'a plan::Plug| Grant {
        port: &plug.port,
        devices: plug
            .devices
            .iter()
            .filter_map(|device| grant(*device, plan, opened.next()?, links, controller))
            .collect(),
    };
    unit.plugs.iter().map(granted).collect()
}

fn grant<'a>(
    device: plan::Device,
    plan: &'a Plan,
    opened: &'a Opened,
    links: &'a [LinkHost],
    controller: Option<&'a UnixStream>,
) -> Option<Device<'a>> {
    Some(match (device, opened) {
        (plan::Device::Disk(index), Opened::One(file)) => {
            let disk = plan.disks.get(index)?;
            let (bytes, block_bytes) = (disk.bytes, disk.block_bytes);
            Device::Disk { file: file.as_fd(), bytes, block_bytes, writable: true }
        }
        (plan::Device::Screen(index), Opened::Two(memory, shown)) => {
            let screen = plan.screens.get(index)?;
            let (width, height) = (screen.width, screen.height);
            Device::Screen { memory: memory.as_fd(), shown: shown.as_fd(), width, height }
        }
        (plan::Device::Keys(_), Opened::One(stream)) => Device::Keys(stream.as_fd()),
        (plan::Device::Listener(_), Opened::One(socket)) => Device::Listener(socket.as_fd()),
        (plan::Device::Client(index), _) => Device::Link {
            peer: &plan.links.get(index)?.server,
            end: links.get(index)?.descriptors(Side::Client),
        },
        (plan::Device::Server(index), _) => Device::Link {
            peer: &plan.links.get(index)?.client,
            end: links.get(index)?.descriptors(Side::Server),
        },
        (plan::Device::Units, _) => Device::Units(controller?.as_fd()),
        _ => return None,
    })
}

/// What kinds of devices a unit has, for its confinement.
pub fn devices(unit: &plan::Unit, plan: &Plan) -> Devices {
    let mut kinds = Devices::default();
    for device in unit.plugs.iter().flat_map(|plug| &plug.devices) {
        match device {
            plan::Device::Disk(index) => {
                let bytes = plan.disks.get(*index).map_or(0, |disk| disk.bytes);
                kinds.disk = Some(kinds.disk.unwrap_or(0).max(bytes));
            }
            plan::Device::Listener(_) => kinds.listener = true,
            plan::Device::Screen(index) => {
                let screen = plan.screens.get(*index);
                kinds.screen = screen.map(|screen| 8 * u64::from(screen.width) * u64::from(screen.height));
            }
            _ => {}
        }
    }
    kinds
}
