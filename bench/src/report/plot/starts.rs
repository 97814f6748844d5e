//! Cold starts: a mark for each, since single figures hide how they are spread.

use super::frame::room_for;
use super::palette::{GRID, Ink, MUTED, TEXT};
use super::scale::{Scale, tick_label};
use super::sheet::{Anchor, NAME, NOTE, Sheet};
use super::{Drawing, Width, text};
use crate::report::render::number;
use crate::stats::median;

const ROW: f64 = 38.0;
const RADIUS: f64 = 3.2;
/// How strong the phases of a start are drawn, one after the other.
const STRENGTHS: [f64; 3] = [0.3, 0.6, 1.0];

/// One target's starts, in milliseconds from the spawn.
#[derive(Clone, Debug)]
pub struct Starts {
    pub name: String,
    pub ink: Ink,
    pub emulated: bool,
    /// To the first 200, with a warm page cache and with a dropped one.
    pub warm: Vec<f64>,
    pub dropped: Vec<f64>,
    /// Medians of phases with a warm page cache, where they were seen.
    pub first_output: Option<f64>,
    pub listening: Option<f64>,
}

impl Starts {
    fn has_phases(&self) -> bool {
        self.first_output.is_some() || self.listening.is_some()
    }

    fn times(&self) -> impl Iterator<Item = f64> {
        let phases = [self.first_output, self.listening].into_iter().flatten();
        self.warm.iter().chain(&self.dropped).copied().chain(phases)
    }
}

struct Layout {
    scale: Scale,
    names: f64,
    top: f64,
    bottom: f64,
    right: f64,
}

/// One row a target, in the order given; medians stand in a column at the right.
pub fn starts(targets: &[Starts], width: Width) -> Drawing {
    let wide = width == Width::Wide;
    let names = room_for(targets.iter().map(|target| target.name.as_str()), if wide { 190.0 } else { 112.0 });
    let right = width.pixels() - 50.0;
    let times: Vec<f64> = targets.iter().flat_map(Starts::times).collect();
    let scale = Scale::log(&times, names + 12.0, right - 10.0);
    let entries = entries(targets);
    let top = 42.0 + 17.0 * lines(&entries, width.pixels()) as f64;
    let bottom = top + ROW * targets.len() as f64;
    let layout = Layout { scale, names, top, bottom, right: width.pixels() };
    Drawing::new(width, bottom + 4.0, |sheet| {
        sheet.note((0.0, 9.0), "ms from spawn to first 200, log scale", Anchor::Start);
        legend(sheet, &entries);
        layout.axis(sheet);
        for (index, target) in targets.iter().enumerate() {
            layout.row(sheet, target, top + ROW * (index as f64 + 0.5));
        }
    })
}

/// What a mark of the legend looks like.
#[derive(Clone, Copy)]
enum Mark {
    Start,
    Emulated,
    Dropped,
    Median,
    Phase(f64),
}

/// The marks that are there, with what they mean.
fn entries(targets: &[Starts]) -> Vec<(Mark, &'static str)> {
    let any = |test: fn(&Starts) -> bool| targets.iter().any(test);
    let mut entries = vec![(Mark::Start, "a start")];
    if any(|target| target.emulated) {
        entries.push((Mark::Emulated, "emulated"));
    }
    if any(|target| !target.dropped.is_empty()) {
        entries.push((Mark::Dropped, "page cache dropped"));
    }
    entries.push((Mark::Median, "median"));
    let phases = ["to first output", "to listening", "to first 200"];
    let seen = [any(|target| target.first_output.is_some()), any(|target| target.listening.is_some()), true];
    if any(Starts::has_phases) {
        let phases = phases.into_iter().zip(STRENGTHS).zip(seen).filter(|(_, seen)| *seen);
        entries.extend(phases.map(|((words, strength), _)| (Mark::Phase(strength), words)));
    }
    entries
}

fn entry_width(words: &str) -> f64 {
    14.0 + text::width(words, NOTE) + 14.0
}

/// Entries with the place of each, wrapped.
fn placed<'a>(
    entries: &'a [(Mark, &'static str)],
    room: f64,
) -> impl Iterator<Item = (Mark, &'static str, (f64, usize))> + 'a {
    let (mut x, mut line) = (0.0, 0);
    entries.iter().map(move |(mark, words)| {
        if x > 0.0 && x + entry_width(words) > room {
            (x, line) = (0.0, line + 1);
        }
        let at = (x, line);
        x += entry_width(words);
        (*mark, *words, at)
    })
}

fn lines(entries: &[(Mark, &'static str)], room: f64) -> usize {
    placed(entries, room).last().map_or(0, |(.., (_, line))| line + 1)
}

fn legend(sheet: &Sheet<'_>, entries: &[(Mark, &'static str)]) {
    for (mark, words, (x, line)) in placed(entries, sheet.width) {
        let (x, y) = (x + 5.0, 28.0 + 17.0 * line as f64);
        match mark {
            Mark::Start => sheet.speck((x, y), RADIUS, MUTED),
            Mark::Emulated => sheet.ring((x, y), RADIUS, MUTED),
            Mark::Dropped => sheet.cross((x, y), RADIUS, MUTED),
            Mark::Median => median_mark(sheet, (x, y)),
            Mark::Phase(strength) => sheet.bar((x - 5.0, y - 2.5), (x + 5.0, y + 2.5), MUTED, strength),
        }
        sheet.note((x + 9.0, y), words, Anchor::Start);
    }
}

fn median_mark(sheet: &Sheet<'_>, (x, y): (f64, f64)) {
    sheet.line(&[(x, y - 7.0), (x, y + 7.0)], TEXT, 2.0);
}

impl Layout {
    fn axis(&self, sheet: &Sheet<'_>) {
        for tick in self.scale.ticks(36.0) {
            let x = self.scale.at(tick);
            sheet.line(&[(x, self.top - 2.0), (x, self.bottom)], GRID, 1.0);
            sheet.note((x, self.top - 11.0), &tick_label(tick), Anchor::Middle);
        }
        sheet.note((self.right, self.top - 11.0), "median", Anchor::End);
    }

    fn row(&self, sheet: &Sheet<'_>, target: &Starts, y: f64) {
        sheet.line(&[(0.0, y + ROW / 2.0), (self.right, y + ROW / 2.0)], GRID, 1.0);
        sheet.name((self.names + 2.0, y), &text::fitted(&target.name, NAME, self.names), Anchor::End);
        let marks = if target.has_phases() { y - 4.0 } else { y };
        self.phases(sheet, target, y + 7.0);
        for ms in &target.dropped {
            sheet.cross((self.scale.at(*ms), marks), RADIUS, target.ink);
        }
        for ms in &target.warm {
            let at = (self.scale.at(*ms), marks);
            if target.emulated {
                sheet.ring(at, RADIUS, target.ink);
            } else {
                sheet.speck(at, RADIUS, target.ink);
            }
        }
        let medians = [median(&target.warm), median(&target.dropped)];
        for middle in medians.into_iter().flatten() {
            median_mark(sheet, (self.scale.at(middle), marks));
        }
        match medians {
            [Some(warm), Some(dropped)] => {
                sheet.name((self.right, y - 7.0), &number(warm), Anchor::End);
                self.dropped(sheet, y + 8.0, dropped);
            }
            [Some(warm), None] => sheet.name((self.right, y), &number(warm), Anchor::End),
            [None, Some(dropped)] => {
                self.dropped(sheet, y, dropped);
            }
            [None, None] => {}
        }
    }

    /// The median with a dropped page cache, with its mark.
    fn dropped(&self, sheet: &Sheet<'_>, y: f64, ms: f64) {
        let ms = number(ms);
        sheet.note((self.right, y), &ms, Anchor::End);
        sheet.cross((self.right - text::width(&ms, NOTE) - 8.0, y), RADIUS, MUTED);
    }

    /// From the spawn to the first output, to the first connection taken, to the first 200.
    fn phases(&self, sheet: &Sheet<'_>, target: &Starts, y: f64) {
        if !target.has_phases() {
            return;
        }
        let ends = [target.first_output, target.listening, median(&target.warm)];
        let mut from = self.scale.at(self.scale.low());
        for (end, strength) in ends.into_iter().zip(STRENGTHS) {
            let Some(to) = end.map(|end| self.scale.at(end)).filter(|to| *to > from) else { continue };
            sheet.bar((from, y), (to, y + 5.0), target.ink, strength);
            from = to;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(warm: &[f64], dropped: &[f64], listening: Option<f64>) -> Starts {
        Starts {
            name: "a".into(),
            ink: MUTED,
            emulated: false,
            warm: warm.to_vec(),
            dropped: dropped.to_vec(),
            first_output: None,
            listening,
        }
    }

    #[test]
    fn the_legend_has_what_is_there_and_no_more() {
        let words =
            |target: Starts| entries(&[target]).into_iter().map(|(_, words)| words).collect::<Vec<_>>();
        assert_eq!(words(target(&[1.0], &[], None)), ["a start", "median"]);
        assert_eq!(
            words(target(&[1.0], &[2.0], Some(0.5))),
            ["a start", "page cache dropped", "median", "to listening", "to first 200"]
        );
    }

    #[test]
    fn the_legend_wraps_on_a_phone() {
        let entries = entries(&[target(&[1.0], &[2.0], Some(0.5))]);
        assert_eq!(lines(&entries, 860.0), 1);
        assert!(lines(&entries, 336.0) > 1);
        assert!(placed(&entries, 336.0).all(|(_, words, (x, _))| x + entry_width(words) <= 336.0 + 14.0));
    }

    #[test]
    fn every_start_is_a_mark() {
        let drawing = starts(&[target(&[1.0, 2.0, 3.0], &[9.0], None)], Width::Wide);
        // One more dot and one more cross in the legend; a cross is two lines.
        let dots = drawing.shapes.matches("<circle").count();
        assert_eq!(dots, 3 + 1, "{}", drawing.shapes);
    }
}
