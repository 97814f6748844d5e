//! How wide a text will be, without asking a font: the reader's is not known.

/// Average widths in a usual sans-serif face, as a part of its size; rather too wide than too narrow.
fn width_of(character: char) -> f64 {
    match character {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' => 0.29,
        'f' | 't' | 'r' | '-' | '(' | ')' | '/' | '[' | ']' => 0.38,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.90,
        character if character.is_ascii_uppercase() => 0.70,
        character if character.is_ascii() => 0.61,
        // Wide scripts have square characters.
        character if character as u32 >= 0x1100 => 1.05,
        _ => 0.62,
    }
}

/// The width of a line of text in pixels.
pub fn width(text: &str, size: f64) -> f64 {
    text.chars().map(width_of).sum::<f64>() * size
}

/// The text, or as much of its beginning as fits, with an ellipsis.
pub fn fitted(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let room = room - width("…", size);
    let mut taken = 0.0;
    let fits = |character: &char| {
        taken += width_of(*character) * size;
        taken <= room
    };
    text.chars().take_while(fits).collect::<String>().trim_end().to_owned() + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_fits_stays_and_one_that_does_not_ends_in_an_ellipsis() {
        assert_eq!(fitted("spin", 12.0, 100.0), "spin");
        let cut = fitted("a-very-long-name-of-a-target", 12.0, 80.0);
        assert!(cut.ends_with('…') && cut.starts_with("a-very") && width(&cut, 12.0) <= 80.0, "{cut}");
        assert_eq!(fitted("abc", 12.0, 0.0), "…");
    }

    #[test]
    fn width_grows_with_the_text_and_its_size() {
        assert!(width("wasmtime-aot", 12.0) > width("wasmtime", 12.0));
        assert!((width("spin", 24.0) - 2.0 * width("spin", 12.0)).abs() < 1e-9);
    }
}
