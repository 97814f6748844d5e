//! Colours: one for each target, by its kind of packaging, for light and dark paper.
//!
//! The seven hues were chosen together so that they stay apart under protanopia, deuteranopia and tritanopia (by
//! different lightness where hue fails), with a contrast of at least 3 : 1 on their paper. Targets of a kind have
//! tones of its hue; peers, which are there for context, are grey. Colour never carries a meaning alone: every mark has its target's name beside it.
//!
//! A plot is drawn in the light colours. They are unique, so that a style sheet can find each and replace it.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::target::Kind;

/// One ink as it is on light and on dark paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ink {
    pub light: u32,
    pub dark: u32,
}

const fn ink(light: u32, dark: u32) -> Ink {
    Ink { light, dark }
}

pub const TEXT: Ink = ink(0x1B1F24, 0xE8EAED);
pub const MUTED: Ink = ink(0x5B636E, 0x9DA5B0);
pub const GRID: Ink = ink(0xE3E6EA, 0x2B3138);
pub const RULE: Ink = ink(0xB4BAC2, 0x545C66);
pub const PAPER: Ink = ink(0xFFFFFE, 0x14171B);
pub const BAND: Ink = ink(0xF3F5F7, 0x1C2126);

/// What is neither a target's nor text.
const NEUTRAL: [Ink; 6] = [TEXT, MUTED, GRID, RULE, PAPER, BAND];

/// What shares a hue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    Process,
    Docker,
    Microvm,
    Unikraft,
    Wasmtime,
    Spin,
    /// Something that runs already, or that is no packaging of the service.
    Other,
}

impl Family {
    const ALL: [Self; 7] =
        [Self::Process, Self::Docker, Self::Microvm, Self::Unikraft, Self::Wasmtime, Self::Spin, Self::Other];

    pub fn of(kind: Kind, peer: bool) -> Self {
        match kind {
            _ if peer => Self::Other,
            Kind::Process => Self::Process,
            Kind::Docker => Self::Docker,
            Kind::Microvm => Self::Microvm,
            Kind::Unikraft => Self::Unikraft,
            Kind::Wasmtime => Self::Wasmtime,
            Kind::Spin => Self::Spin,
            Kind::Url => Self::Other,
        }
    }
}

fn tones(family: Family) -> [Ink; 3] {
    match family {
        Family::Process => [ink(0x2663C9, 0x539AF2), ink(0x528AE8, 0x8BBEFE), ink(0x084198, 0x4381CF)],
        Family::Docker => [ink(0xA86110, 0xF2A036), ink(0x7A4304, 0xFECD99), ink(0xC57A2E, 0xD1892D)],
        Family::Microvm => [ink(0x6F2584, 0xB478BE), ink(0x8A499E, 0xD59DDD), ink(0xA664BA, 0x9864A0)],
        Family::Unikraft => [ink(0xC66A79, 0xDF6862), ink(0x994356, 0xFF9088), ink(0x79253B, 0xBD5550)],
        Family::Wasmtime => [ink(0x1D561C, 0x98E090), ink(0x427B45, 0x7CBA75), ink(0x5C975E, 0x619E5A)],
        Family::Spin => [ink(0x2799AC, 0x66DFF0), ink(0x0D7383, 0x4FB9C8), ink(0x045460, 0x2B9DAB)],
        Family::Other => [ink(0x5F5D5A, 0xACABA7), ink(0x7B7A77, 0xCFCECA), ink(0x969592, 0x93928F)],
    }
}

/// The ink of each target, the same in every plot.
pub struct Palette(BTreeMap<String, Ink>);

impl Palette {
    /// In the order given, each target takes the next tone of its kind.
    pub fn of<'a>(targets: impl IntoIterator<Item = (&'a str, Family)>) -> Self {
        let mut inks = BTreeMap::new();
        let mut taken = BTreeMap::new();
        for (name, family) in targets {
            let number: &mut usize = taken.entry(family).or_default();
            let tones = tones(family);
            inks.entry(name.to_owned()).or_insert_with(|| {
                *number += 1;
                tones[(*number - 1) % tones.len()]
            });
        }
        Self(inks)
    }

    pub fn ink(&self, target: &str) -> Ink {
        self.0.get(target).copied().unwrap_or(MUTED)
    }
}

impl Ink {
    /// As the SVG backend writes it.
    pub fn hex(self) -> String {
        format!("#{:06X}", self.light)
    }
}

fn all() -> impl Iterator<Item = Ink> {
    NEUTRAL.into_iter().chain(Family::ALL.into_iter().flat_map(tones))
}

/// The neutral inks as custom properties, for light and for dark paper.
pub fn properties() -> (String, String) {
    let named =
        [("text", TEXT), ("muted", MUTED), ("grid", GRID), ("rule", RULE), ("paper", PAPER), ("band", BAND)];
    let of = |colour: fn(Ink) -> u32| {
        named.iter().map(|(name, ink)| format!("--{name}:#{:06X};", colour(*ink))).collect::<String>()
    };
    (of(|ink| ink.light), of(|ink| ink.dark))
}

/// The rules that put plots, and what else has such an attribute, on dark paper.
pub fn dark_rules() -> String {
    let mut rules = String::new();
    for ink in all() {
        let (light, dark) = (ink.hex(), format!("#{:06X}", ink.dark));
        let _ = write!(rules, "[fill=\"{light}\"]{{fill:{dark}}}[stroke=\"{light}\"]{{stroke:{dark}}}");
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance, WCAG 2.
    fn luminance(rgb: u32) -> f64 {
        let channel = |shift: u32| {
            let value = f64::from((rgb >> shift) & 0xff) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(16) + 0.7152 * channel(8) + 0.0722 * channel(0)
    }

    fn contrast(a: u32, b: u32) -> f64 {
        let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
        if a > b { a / b } else { b / a }
    }

    #[test]
    fn every_ink_is_unique_so_that_a_rule_finds_it() {
        let mut light: Vec<u32> = all().map(|ink| ink.light).collect();
        let count = light.len();
        light.sort_unstable();
        light.dedup();
        assert_eq!(light.len(), count);
    }

    #[test]
    fn marks_have_contrast_on_their_paper_and_text_more() {
        for mark in Family::ALL.into_iter().flat_map(tones) {
            assert!(contrast(mark.light, PAPER.light) >= 2.9, "{} on light paper", mark.hex());
            assert!(contrast(mark.dark, PAPER.dark) >= 3.0, "{} on dark paper", mark.hex());
        }
        for text in [TEXT, MUTED] {
            assert!(contrast(text.light, PAPER.light) >= 4.5 && contrast(text.dark, PAPER.dark) >= 4.5);
        }
    }

    #[test]
    fn a_target_keeps_its_ink_and_neighbours_of_a_kind_differ() {
        let docker = Family::of(Kind::Docker, false);
        let targets = [("a", docker), ("b", docker), ("a", docker), ("peer", Family::of(Kind::Docker, true))];
        let palette = Palette::of(targets);
        assert_eq!(
            [palette.ink("a"), palette.ink("b")],
            [tones(Family::Docker)[0], tones(Family::Docker)[1]]
        );
        assert_eq!(palette.ink("peer"), tones(Family::Other)[0]);
        assert_eq!(palette.ink("unknown"), MUTED);
    }
}
