//! Numbers as they are shown.

/// A number with this many decimals, and commas between thousands.
pub fn number(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), String::new()), |(w, f)| (w, format!(".{f}")));
    let sign = if value < 0.0 { "−" } else { "" };
    let mut grouped = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{fraction}")
}

/// A number with this many significant digits.
pub fn significant(value: f64, digits: i32) -> String {
    let power = value.abs().log10().floor();
    match power {
        _ if value == 0.0 => "0".to_owned(),
        power if (-4.0..6.0).contains(&power) => {
            let decimals = (f64::from(digits) - 1.0 - power).max(0.0) as usize;
            format!("{value:.decimals$}")
        }
        _ => format!("{value:.*e}", digits as usize - 1),
    }
}

/// With so many decimals, or in powers of ten where that would be long.
pub fn compact(value: f64, decimals: usize) -> String {
    if value.abs() < 1e6 { format!("{value:.decimals$}") } else { format!("{value:.2e}") }
}

/// A number for a table: four significant digits.
pub fn four_digits(value: f64) -> String {
    let size = value.abs();
    let text = if value == 0.0 {
        "0".to_owned()
    } else if (1e-3..1e5).contains(&size) {
        let decimals = (3 - size.log10().floor() as i32).max(0) as usize;
        let text = format!("{value:.decimals$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    } else {
        format!("{value:.2e}")
    };
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_significant_digits() {
        let parts = [123.456_789, -0.001_234_567, 1e-9, 1_234_567.0, 0.0].map(|x| significant(x, 6));
        assert_eq!(parts, ["123.457", "-0.00123457", "1.00000e-9", "1.23457e6", "0"]);
        assert_eq!(significant(23.4, 2), "23");
    }
}
