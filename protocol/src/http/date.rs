//! The date of an answer, as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Writes a time as HTTP does. A time before 1970 is written as its first second.
#[must_use]
pub fn http_date(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let weekday = DAYS[(days % 7) as usize];
    let month = MONTHS[month as usize];
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// Reads a date in any of the three forms that a receiver must understand (RFC 9110 §5.6.7); `None` if it is none of them.
/// The day of the week is not looked at.
///
/// ```text
/// Sun, 06 Nov 1994 08:49:37 GMT     as it is written today
/// Sunday, 06-Nov-94 08:49:37 GMT    as it was written before
/// Sun Nov  6 08:49:37 1994          as C's asctime() writes it
/// ```
#[must_use]
pub fn read_http_date(text: &str) -> Option<SystemTime> {
    let parts: Vec<&str> = text.split([' ', ',', '-']).filter(|part| !part.is_empty()).collect();
    let (day, month, year, time) = match parts[..] {
        [_, day, month, year, time, "GMT"] => (day, month, year, time),
        [_, month, day, time, year] => (day, month, year, time),
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| *name == month)? as u64;
    let (day, year) = (number(day)?, full_year(year)?);
    let mut clock = time.split(':').map(number);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    // A leap second (60) counts as the first second of the next minute.
    if clock.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days(year, month, day)?;
    UNIX_EPOCH.checked_add(Duration::from_secs(days * 86_400 + hour * 3_600 + minute * 60 + second))
}

/// A number of at most four digits and nothing else.
fn number(digits: &str) -> Option<u64> {
    let plain = (1..=4).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// The year; of one with two digits, the one that is between 1970 and 2069.
fn full_year(digits: &str) -> Option<u64> {
    match (digits.len(), number(digits)?) {
        (2, year) => Some(if year < 70 { 2000 + year } else { 1900 + year }),
        (4, year) => Some(year),
        _ => None,
    }
}

/// The day that has this date (month from 0), counted from 1970-01-01; `None` if there is no such day, or it was before.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    // As below, the year is taken to begin in March.
    let march_year = if month < 2 { year.checked_sub(1)? } else { year };
    let (era, in_era) = (march_year / 400, march_year % 400);
    let in_year = (153 * ((month + 10) % 12) + 2) / 5 + day.checked_sub(1)?;
    let from_march_0 = era * 146_097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year;
    let days = from_march_0.checked_sub(719_468)?;
    (civil(days) == (year, month, day)).then_some(days)
}

/// Year, month (from 0) and day (from 1) of a day counted from 1970-01-01. The year is taken to begin in March, so that
/// the leap day is its last; 146,097 days are 400 years, after which all repeats.
fn civil(days: u64) -> (u64, u64, u64) {
    let from_march_0 = days + 719_468;
    let (era, day) = (from_march_0 / 146_097, from_march_0 % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = (month + 2) % 12;
    (era * 400 + year + u64::from(month < 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_as_the_rfc_and_the_date_command_write_them() {
        let at = |seconds| http_date(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(at(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(at(951_782_399), "Mon, 28 Feb 2000 23:59:59 GMT");
        assert_eq!(at(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(at(951_868_800), "Wed, 01 Mar 2000 00:00:00 GMT");
        assert_eq!(at(4_107_542_399), "Sun, 28 Feb 2100 23:59:59 GMT");
        assert_eq!(at(4_107_542_400), "Mon, 01 Mar 2100 00:00:00 GMT");
        assert_eq!(http_date(UNIX_EPOCH - Duration::from_secs(9)), at(0));
    }

    #[test]
    fn every_date_that_is_written_is_read_and_all_three_forms_are() {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..2_000 {
            let time = UNIX_EPOCH + Duration::from_secs(random.u64(..253_402_300_800));
            assert_eq!(read_http_date(&http_date(time)), Some(time), "seed {seed}");
        }
        let time = Some(UNIX_EPOCH + Duration::from_secs(784_111_777));
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(read_http_date(text), time, "{text}");
        }
        assert_eq!(read_http_date("Sunday, 06-Nov-38 08:49:37 GMT").map(http_date).unwrap()[8..16], *"Nov 2038");
    }

    #[test]
    fn what_is_no_date_is_not_read() {
        for text in [
            "",
            "0",
            "yesterday",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 29 Feb 2100 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 1994 08:49:37:1 GMT",
            "Sun, 06 Nov 1994 +8:49:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
        ] {
            assert_eq!(read_http_date(text), None, "{text}");
        }
    }
}
