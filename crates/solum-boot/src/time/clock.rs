//! The clock of the system and that of the hardware.

use std::io;
use std::time::{Duration, SystemTime};

use rustix::ioctl::{Getter, Setter, opcode};

use solum_spec::calendar::Calendar;

/// The hardware's clock.
const RTC: &str = "/dev/rtc0";

/// A clock that can be corrected.
pub(super) trait Clock {
    /// What it says, as time since 1970.
    fn now(&self) -> Duration;

    /// Moves it at once by this many microseconds.
    fn step(&mut self, offset_us: i64) -> io::Result<()>;

    /// Lets it run faster or slower until it has gained this many microseconds; the next correction is in `interval_s`.
    fn slew(&mut self, offset_us: i64, interval_s: u64) -> io::Result<()>;

    /// Sets the hardware's clock from it.
    fn save(&mut self) -> io::Result<()>;
}

/// The clock of the running system. To change it needs `CAP_SYS_TIME`; the hardware's also `/dev/rtc0`.
#[derive(Debug)]
pub(super) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }

    fn step(&mut self, offset_us: i64) -> io::Result<()> {
        let mut change = change();
        // Relative, so that the time which passes until the kernel acts is not lost; microseconds are never negative.
        change.modes = libc::ADJ_SETOFFSET;
        change.time.tv_sec = offset_us.div_euclid(1_000_000);
        change.time.tv_usec = offset_us.rem_euclid(1_000_000);
        adjust(&mut change)
    }

    fn slew(&mut self, offset_us: i64, interval_s: u64) -> io::Result<()> {
        let mut change = change();
        // The kernel's phase-locked loop (RFC 1589, RFC 5905 §12) also learns how fast the oscillator is. Its time constant
        // is the logarithm of the interval, less 4; with nanoseconds, as the kernel adds 4 without them (`process_adjtimex_modes`
        // in kernel/time/ntp.c). Without STA_UNSYNC, the kernel copies
        // the time to the hardware's clock every 11 minutes by itself, where it was built to.
        change.modes = libc::ADJ_OFFSET
            | libc::ADJ_STATUS
            | libc::ADJ_TIMECONST
            | libc::ADJ_NANO
            | libc::ADJ_MAXERROR
            | libc::ADJ_ESTERROR;
        change.offset = offset_us.saturating_mul(1000);
        change.status = libc::STA_PLL;
        change.constant = i64::from(interval_s.max(16).ilog2()) - 4;
        adjust(&mut change)
    }

    fn save(&mut self) -> io::Result<()> {
        // linux/rtc.h: RTC_SET_TIME is _IOW('p', 0x0a, struct rtc_time).
        const SET_TIME: rustix::ioctl::Opcode = opcode::write::<RtcTime>(b'p', 0x0a);
        let rtc = std::fs::File::open(RTC)?;
        let time = RtcTime::from(Calendar::from_unix((self.now() + Duration::from_millis(500)).as_secs()));
        // SAFETY: the request reads one `struct rtc_time`, which `RtcTime` is.
        unsafe { rustix::ioctl::ioctl(&rtc, Setter::<SET_TIME, RtcTime>::new(time)) }?;
        Ok(())
    }
}

/// What the hardware's clock says, in seconds since 1970, if there is one. By convention it says UTC.
pub(super) fn hardware_s() -> Option<u64> {
    // linux/rtc.h: RTC_RD_TIME is _IOR('p', 0x09, struct rtc_time).
    const READ_TIME: rustix::ioctl::Opcode = opcode::read::<RtcTime>(b'p', 0x09);
    let rtc = std::fs::File::open(RTC).ok()?;
    // SAFETY: the request writes one `struct rtc_time`, which `RtcTime` is.
    let time = unsafe { rustix::ioctl::ioctl(&rtc, Getter::<READ_TIME, RtcTime>::new()) }.ok()?;
    time.unix_s()
}

/// A change of nothing.
fn change() -> libc::timex {
    // SAFETY: `timex` consists of integers, for which zero is a value.
    unsafe { std::mem::zeroed() }
}

fn adjust(change: &mut libc::timex) -> io::Result<()> {
    // SAFETY: `change` is a `timex` that the call may read and write.
    if unsafe { libc::adjtimex(change) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// `struct rtc_time` (linux/rtc.h).
#[repr(C)]
struct RtcTime {
    second: i32,
    minute: i32,
    hour: i32,
    day: i32,
    /// From 0.
    month: i32,
    /// Since 1900.
    year: i32,
    /// These three are not looked at.
    week_day: i32,
    year_day: i32,
    summer_time: i32,
}

impl RtcTime {
    fn unix_s(&self) -> Option<u64> {
        // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil: years begin in March.
        let month = i64::from(self.month) + 1;
        let year = i64::from(self.year) + 1900 - i64::from(month <= 2);
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + i64::from(self.day) - 1;
        let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468;
        let of_day = i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        u64::try_from(days * 86_400 + of_day).ok()
    }
}

impl From<Calendar> for RtcTime {
    fn from(calendar: Calendar) -> Self {
        let Calendar { year, month, day, hour, minute, second } = calendar;
        Self {
            second: second.into(),
            minute: minute.into(),
            hour: hour.into(),
            day: day.into(),
            month: i32::from(month) - 1,
            year: i32::from(year) - 1900,
            week_day: 0,
            year_day: 0,
            summer_time: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_to_the_hardware_is_read_from_it() {
        for seconds in [0, 951_782_400, 951_868_799, 1_767_225_600, 1_772_323_199, 4_102_444_799] {
            assert_eq!(RtcTime::from(Calendar::from_unix(seconds)).unix_s(), Some(seconds));
        }
    }
}
