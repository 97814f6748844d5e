//! Where labels go so that none lies on another.

use super::text;

/// Places for labels of one height along a line: as near to where they belong as they can be without touching,
/// between `low` and `high`. In the order of `wanted`.
pub fn spread(wanted: &[f64], height: f64, low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]));
    let mut sorted = apart(order.iter().map(|&index| wanted[index]), height);
    let mut least = low + height / 2.0;
    for place in &mut sorted {
        *place = place.max(least);
        least = *place + height;
    }
    let mut most = high - height / 2.0;
    for place in sorted.iter_mut().rev() {
        *place = place.min(most);
        most = *place - height;
    }
    let mut places = vec![0.0; wanted.len()];
    for (index, place) in order.into_iter().zip(sorted) {
        places[index] = place;
    }
    places
}

/// Labels that would touch form a group, which stands with its middle where the middle of its labels would be.
fn apart(wanted: impl Iterator<Item = f64>, height: f64) -> Vec<f64> {
    let mut groups: Vec<(f64, f64)> = Vec::new();
    for place in wanted {
        groups.push((place, 1.0));
        while let [.., (above, n), (below, m)] = groups[..] {
            if above + height * (n + m) / 2.0 <= below {
                break;
            }
            groups.truncate(groups.len() - 2);
            groups.push(((above * n + below * m) / (n + m), n + m));
        }
    }
    let labels = |(middle, n): (f64, f64)| {
        (0..n as usize).map(move |label| middle + height * (label as f64 - (n - 1.0) / 2.0))
    };
    groups.into_iter().flat_map(labels).collect()
}

/// A rectangle by its left upper corner.
#[derive(Clone, Copy, Debug)]
pub struct Area {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

impl Area {
    fn overlap(&self, other: &Self) -> f64 {
        let across = |a: f64, b: f64, c: f64, d: f64| ((a + b).min(c + d) - a.max(c)).max(0.0);
        across(self.x, self.width, other.x, other.width) * across(self.y, self.height, other.y, other.height)
    }

    fn outside(&self, bounds: &Self) -> f64 {
        self.width * self.height - self.overlap(bounds)
    }
}

/// Where the label of each point goes: beside it, where no other label or point is, and no obstacle. Greedy, so give
/// the important ones first.
pub fn beside(
    points: &[(f64, f64, &str)],
    size: f64,
    radius: f64,
    bounds: Area,
    obstacles: &[Area],
) -> Vec<Area> {
    let mut taken: Vec<Area> = points
        .iter()
        .map(|(x, y, _)| Area { x: x - radius, y: y - radius, width: 2.0 * radius, height: 2.0 * radius })
        .chain(obstacles.iter().copied())
        .collect();
    let mut placed = Vec::new();
    for &(x, y, name) in points {
        let (width, height) = (text::width(name, size), size * 1.15);
        let candidates = OFFSETS.into_iter().map(|(side, down)| {
            let across = if down.abs() < radius { radius + 4.0 } else { radius };
            let left = x + side * across + width * (side - 1.0) / 2.0;
            Area { x: left, y: y + down - height / 2.0, width, height }
        });
        // A place farther away must be worth the way.
        let cost = |area: &Area| {
            let on_others: f64 = taken.iter().map(|other| area.overlap(other)).sum();
            on_others + 3.0 * area.outside(&bounds) + 0.5 * (area.y + height / 2.0 - y).abs()
        };
        let best = candidates.min_by(|a, b| cost(a).total_cmp(&cost(b)));
        let area = best.unwrap_or(Area { x, y, width, height });
        taken.push(area);
        placed.push(area);
    }
    placed
}

/// Where a label may stand: to which side of its point, and how far below it.
const OFFSETS: [(f64, f64); 21] = [
    (1.0, 0.0),
    (-1.0, 0.0),
    (0.0, -13.0),
    (0.0, 13.0),
    (1.0, -9.0),
    (1.0, 9.0),
    (-1.0, -9.0),
    (-1.0, 9.0),
    (1.0, -16.0),
    (1.0, 16.0),
    (-1.0, -16.0),
    (-1.0, 16.0),
    (1.0, -26.0),
    (1.0, 26.0),
    (-1.0, -26.0),
    (-1.0, 26.0),
    (0.0, -26.0),
    (0.0, 26.0),
    (1.0, -38.0),
    (1.0, 38.0),
    (-1.0, 38.0),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_with_room_stay_where_they_belong() {
        assert_eq!(spread(&[10.0, 90.0, 50.0], 14.0, 0.0, 100.0), [10.0, 90.0, 50.0]);
    }

    #[test]
    fn labels_that_would_touch_move_apart_around_their_middle() {
        assert_eq!(spread(&[50.0, 50.0, 50.0], 10.0, 0.0, 100.0), [40.0, 50.0, 60.0]);
        assert_eq!(spread(&[50.0, 52.0, 90.0], 10.0, 0.0, 100.0), [46.0, 56.0, 90.0]);
    }

    #[test]
    fn labels_stay_within_and_apart_when_there_is_room_for_all() {
        let wanted = [99.0, 98.0, 97.0, 1.0, 2.0, 55.0, 56.0];
        let places = spread(&wanted, 12.0, 0.0, 100.0);
        let mut sorted = places.clone();
        sorted.sort_by(f64::total_cmp);
        assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] >= 12.0 - 1e-9), "{sorted:?}");
        assert!(sorted[0] >= 6.0 && sorted[6] <= 94.0, "{sorted:?}");
    }

    #[test]
    fn the_order_of_labels_is_that_of_what_they_name() {
        let wanted = [3.0, 1.0, 2.0];
        let places = spread(&wanted, 10.0, 0.0, 100.0);
        assert!(places[1] < places[2] && places[2] < places[0], "{places:?}");
    }

    #[test]
    fn names_of_points_close_together_do_not_lie_on_each_other_or_on_points() {
        let points = [(50.0, 50.0, "static"), (54.0, 52.0, "minimal"), (58.0, 49.0, "native")];
        let bounds = Area { x: 0.0, y: 0.0, width: 200.0, height: 120.0 };
        let obstacle = Area { x: 66.0, y: 40.0, width: 60.0, height: 12.0 };
        let places = beside(&points, 11.0, 4.0, bounds, &[obstacle]);
        for (i, place) in places.iter().enumerate() {
            assert!(place.outside(&bounds) < 1e-9, "{place:?}");
            for other in places[..i].iter().chain([&obstacle]) {
                assert!(place.overlap(other) < 1e-9, "{place:?} on {other:?}");
            }
        }
    }
}
