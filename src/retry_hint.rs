//! When a server wants to be asked again, as the headers of its response say.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;

/// The shortest wait before a retry, whatever the server says.
const SHORTEST: Duration = Duration::from_secs(1);
/// From here on a number is no length of time but a Unix time: in seconds, or from the second one on in milliseconds.
const TIMESTAMPS: [f64; 2] = [1e9, 1e11];

/// Reads `retry-after-ms`, `Retry-After`, and the `x-ratelimit-reset…` of what is used up: the first of them that can be
/// read, as a wait of one second to `longest`. `now` is the host's time, for those that name a time.
pub fn retry_after(headers: &HeaderMap, now: DateTime<Utc>, longest: Duration) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let milliseconds = || text("retry-after-ms").and_then(|text| seconds(text.parse::<f64>().ok()? / 1000.0));
    let standard = || text("retry-after").and_then(|text| wait(text, now));
    let reset = || {
        let used_up = ["-requests", "-tokens", ""].into_iter().filter(|kind| {
            let left =
                text(&format!("x-ratelimit-remaining{kind}")).and_then(|left| left.parse::<f64>().ok());
            left.is_some_and(|left| left <= 0.0)
        });
        used_up.filter_map(|kind| wait(text(&format!("x-ratelimit-reset{kind}"))?, now)).max()
    };
    let wait = milliseconds().or_else(standard).or_else(reset)?;
    Some(wait.clamp(SHORTEST, longest))
}

/// Reads a wait: `7`, `1.5`, `250ms`, `6m0s`, `7.66s`, a Unix time, an HTTP date or one of RFC 3339. It is zero when that
/// time has passed.
fn wait(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let until = |time: DateTime<Utc>| (time - now).to_std().unwrap_or_default();
    let [timestamps, milliseconds] = TIMESTAMPS;
    #[expect(clippy::cast_precision_loss, reason = "the present is some 1e12 milliseconds")]
    let since = |now: i64| now as f64;
    match text.parse::<f64>() {
        Ok(number) if number.is_nan() => None,
        Ok(number) if number < timestamps => seconds(number),
        Ok(number) if number < milliseconds => seconds((number - since(now.timestamp())).max(0.0)),
        Ok(number) => seconds(((number - since(now.timestamp_millis())) / 1000.0).max(0.0)),
        Err(_) => humantime::parse_duration(text).ok().or_else(|| {
            let date = DateTime::parse_from_rfc2822(text).or_else(|_| DateTime::parse_from_rfc3339(text));
            Some(until(date.ok()?.to_utc()))
        }),
    }
}

/// A length of time in seconds; `None` for a negative number or NaN. The longest possible one if it is too long.
fn seconds(number: f64) -> Option<Duration> {
    (number >= 0.0).then(|| Duration::try_from_secs_f64(number).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn of(headers: &[(&'static str, &str)]) -> Option<f64> {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        let now = DateTime::parse_from_rfc3339("2026-11-06T08:49:30Z").unwrap().to_utc();
        retry_after(&headers.collect(), now, HOUR).map(|wait| wait.as_secs_f64())
    }

    #[test]
    fn a_wait_is_read_in_every_form_that_servers_give_it() {
        for (text, wait) in [
            ("7", 7.0),
            (" 7 ", 7.0),
            ("1.5", 1.5),
            ("Fri, 06 Nov 2026 08:49:37 GMT", 7.0),
            ("2026-11-06T08:49:37Z", 7.0),
            ("2026-11-06T09:49:37.5+01:00", 7.5),
            ("1793954977", 7.0),
            ("1793954977500", 7.5),
            ("6m0s", 360.0),
            ("7.66s", 7.66),
            ("2m59.5s", 179.5),
            ("1500ms", 1.5),
        ] {
            assert_eq!(of(&[("retry-after", text)]), Some(wait), "{text}");
        }
        assert_eq!(of(&[("retry-after-ms", "1500"), ("retry-after", "7")]), Some(1.5));
    }

    #[test]
    fn a_wait_is_a_second_at_least_and_no_longer_than_the_longest() {
        for text in ["0", "0.01", "250ms", "Fri, 06 Nov 2026 08:00:00 GMT", "1793950000", "1793950000000"] {
            assert_eq!(of(&[("retry-after", text)]), Some(1.0), "{text}");
        }
        for text in ["86400", "18446744073709551615", "1e300", "300000d", "Fri, 31 Dec 2100 23:59:59 GMT"] {
            assert_eq!(of(&[("retry-after", text)]), Some(3600.0), "{text}");
        }
        assert_eq!(of(&[("retry-after-ms", "18446744073709551615")]), Some(3600.0));
    }

    #[test]
    fn what_says_nothing_is_no_wait() {
        for text in ["", "soon", "-5", "NaN", "5 apples", "s", "1.2.3s", "m5"] {
            assert_eq!(of(&[("retry-after", text)]), None, "{text}");
        }
    }

    #[test]
    fn a_limit_counts_that_is_used_up_and_of_two_the_one_that_comes_back_later() {
        let used_up = ("x-ratelimit-remaining-requests", "0");
        assert_eq!(of(&[used_up, ("x-ratelimit-reset-requests", "20s")]), Some(20.0));
        assert_eq!(of(&[("x-ratelimit-reset-requests", "20s")]), None);
        let left = ("x-ratelimit-remaining-tokens", "17");
        let resets = [("x-ratelimit-reset-requests", "20s"), ("x-ratelimit-reset-tokens", "1m0s")];
        assert_eq!(of(&[used_up, left, resets[0], resets[1]]), Some(20.0));
        let both = [used_up, ("x-ratelimit-remaining-tokens", "0"), resets[0], resets[1]];
        assert_eq!(of(&both), Some(60.0));
        assert_eq!(of(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1793954977500")]), Some(7.5));
        assert_eq!(of(&[used_up, ("x-ratelimit-reset-requests", "20s"), ("retry-after", "3")]), Some(3.0));
    }
}
