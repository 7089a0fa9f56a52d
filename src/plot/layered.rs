//! Where the boxes of a graph go that is drawn from top to bottom, and the lines between them: ranks, an order within each
//! that crosses few lines, places that keep lines straight. After Sugiyama, Tagawa and Toda, <https://doi.org/10.1109/TSMC.1981.4308636>.

/// Between boxes of one rank, and between the ranks.
const BESIDE: f64 = 36.0;
const BELOW: f64 = 44.0;
/// The room of a line that passes a rank, and between two lines at one box.
const PASSING: f64 = 10.0;
const PORTS: f64 = 22.0;
/// How long a line is straight before its end.
const STRAIGHT: f64 = 10.0;
/// How often the order is looked over, and the places.
const ORDERINGS: usize = 12;
const PLACINGS: usize = 120;

/// A point, in pixels from the top left.
pub(crate) type Point = (f64, f64);

/// A graph that was laid out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    /// The top left of each box.
    pub boxes: Vec<Point>,
    /// Each line from box to box.
    pub lines: Vec<Vec<Point>>,
    pub size: Point,
}

/// What stands in a rank: a box, or a line that passes it.
#[derive(Clone, Debug)]
struct Slot {
    rank: usize,
    size: Point,
    is_box: bool,
    x: f64,
    /// The slots in the rank above and in that below which it is joined to, and how strongly it is drawn to each.
    above: Vec<(usize, f64)>,
    below: Vec<(usize, f64)>,
}

/// Lays out boxes of these sizes, with lines from box to box. A line to a box of a smaller number goes back up, past all others.
pub(crate) fn layered(sizes: &[Point], lines: &[(usize, usize)]) -> Layout {
    let mut graph = Slots::new(sizes, lines);
    graph.order();
    graph.place();
    graph.layout(sizes.len(), lines)
}

struct Slots {
    slots: Vec<Slot>,
    /// The slots of each rank, from left to right.
    ranks: Vec<Vec<usize>>,
    /// The slots that each line goes through, those of its boxes included; none of one that goes back.
    chains: Vec<Vec<usize>>,
}

impl Slots {
    fn new(sizes: &[Point], lines: &[(usize, usize)]) -> Self {
        let rank_of = ranks(sizes.len(), lines);
        let slot = |rank, size, is_box| Slot { rank, size, is_box, x: 0.0, above: Vec::new(), below: Vec::new() };
        let mut slots: Vec<Slot> = sizes.iter().zip(&rank_of).map(|(&size, &rank)| slot(rank, size, true)).collect();
        let mut chains = Vec::new();
        for &(from, to) in lines {
            let mut chain = vec![from];
            for rank in rank_of[from] + 1..rank_of[to] {
                slots.push(slot(rank, (PASSING, 0.0), false));
                chain.push(slots.len() - 1);
            }
            chain.push(to);
            if from >= to {
                chain.clear();
            }
            for pair in chain.windows(2) {
                let (a, b) = (pair[0], pair[1]);
                // A line that passes ranks keeps straight there; where it begins and ends the others count more.
                let pull = match [slots[a].is_box, slots[b].is_box] {
                    [true, true] => 1.0,
                    [false, false] => 8.0,
                    _ => 0.002,
                };
                slots[a].below.push((b, pull));
                slots[b].above.push((a, pull));
            }
            chains.push(chain);
        }
        let mut ranks = vec![Vec::new(); rank_of.iter().max().map_or(0, |last| last + 1)];
        slots.iter().enumerate().for_each(|(i, slot)| ranks[slot.rank].push(i));
        Self { slots, ranks, chains }
    }

    /// Where each slot stands in its rank.
    fn positions(&self) -> Vec<usize> {
        let mut positions = vec![0; self.slots.len()];
        for rank in &self.ranks {
            rank.iter().enumerate().for_each(|(position, &slot)| positions[slot] = position);
        }
        positions
    }

    /// How many pairs of lines cross.
    fn crossings(&self) -> usize {
        let positions = self.positions();
        let crossings = |rank: &Vec<usize>| {
            let ends = rank.iter().flat_map(|&a| self.slots[a].below.iter().map(move |&(b, _)| (a, b)));
            let ends: Vec<_> = ends.map(|(a, b)| (positions[a], positions[b])).collect();
            let cross = |i: usize| ends[..i].iter().filter(|e| (e.0 < ends[i].0) != (e.1 < ends[i].1)).count();
            let apart = |i: usize| ends[..i].iter().filter(|e| e.0 == ends[i].0 || e.1 == ends[i].1).count();
            (0..ends.len()).map(|i| cross(i).saturating_sub(apart(i))).sum::<usize>()
        };
        self.ranks.iter().map(crossings).sum()
    }

    /// Orders each rank by where the slots that it is joined to stand, downwards and upwards in turn; the best order stays.
    fn order(&mut self) {
        let (mut best, mut least) = (self.ranks.clone(), self.crossings());
        for sweep in 0..ORDERINGS {
            let down = sweep % 2 == 0;
            let count = self.ranks.len();
            for step in 1..count {
                let rank = if down { step } else { count - 1 - step };
                let positions = self.positions();
                let wanted = |slot: usize| {
                    let joined = if down { &self.slots[slot].above } else { &self.slots[slot].below };
                    let sum: usize = joined.iter().map(|&(other, _)| positions[other]).sum();
                    if joined.is_empty() { positions[slot] as f64 } else { sum as f64 / joined.len() as f64 }
                };
                let mut ordered: Vec<(f64, usize)> = self.ranks[rank].iter().map(|&s| (wanted(s), s)).collect();
                ordered.sort_by(|a, b| a.0.total_cmp(&b.0));
                self.ranks[rank] = ordered.into_iter().map(|(_, slot)| slot).collect();
            }
            let crossings = self.crossings();
            if crossings < least {
                (best, least) = (self.ranks.clone(), crossings);
            }
        }
        self.ranks = best;
    }

    /// Gives each slot its x, near those that it is joined to.
    fn place(&mut self) {
        for sweep in 0..PLACINGS {
            for step in 0..self.ranks.len() {
                let rank = if sweep % 2 == 0 { step } else { self.ranks.len() - 1 - step };
                let slots = self.ranks[rank].clone();
                let wanted = |&slot: &usize| {
                    let Slot { above, below, x, .. } = &self.slots[slot];
                    let joined = above.iter().chain(below);
                    let (sum, pull) = joined
                        .fold((0.0, 0.0), |(sum, all), &(other, pull)| (sum + pull * self.slots[other].x, all + pull));
                    if pull == 0.0 { *x } else { sum / pull }
                };
                let wanted: Vec<f64> = slots.iter().map(wanted).collect();
                let widths: Vec<f64> = slots.iter().map(|&slot| self.slots[slot].size.0).collect();
                for (&slot, x) in slots.iter().zip(apart(&wanted, &widths)) {
                    self.slots[slot].x = x;
                }
            }
        }
        let left = self.slots.iter().map(|slot| slot.x - slot.size.0 / 2.0).fold(f64::INFINITY, f64::min);
        self.slots.iter_mut().for_each(|slot| slot.x -= left);
    }

    /// The top and bottom of each rank.
    fn heights(&self) -> Vec<Point> {
        let mut top = 0.0;
        let height = |rank: &Vec<usize>| {
            let height = rank.iter().map(|&slot| self.slots[slot].size.1).fold(0.0, f64::max);
            let (from, to) = (top, top + height);
            top = to + BELOW;
            (from, to)
        };
        self.ranks.iter().map(height).collect()
    }

    /// Where a line leaves or enters a box, among the others there: as they go to the left or right.
    fn port(&self, chain: usize, at_start: bool) -> f64 {
        let end = |chain: &Vec<usize>| {
            let last = chain.len() - 1;
            if at_start { (chain[0], chain[1]) } else { (chain[last], chain[last - 1]) }
        };
        let (node, _) = end(&self.chains[chain]);
        let others = self.chains.iter().enumerate().filter(|(_, other)| !other.is_empty() && end(other).0 == node);
        let mut others: Vec<(f64, usize)> = others.map(|(i, other)| (self.slots[end(other).1].x, i)).collect();
        others.sort_by(|a, b| a.0.total_cmp(&b.0));
        let place = others.iter().position(|&(_, i)| i == chain).unwrap_or(0) as f64;
        let between = PORTS.min(0.8 * self.slots[node].size.0 / others.len() as f64);
        self.slots[node].x + (place - (others.len() - 1) as f64 / 2.0) * between
    }

    fn layout(&self, boxes: usize, lines: &[(usize, usize)]) -> Layout {
        let heights = self.heights();
        let top_of = |slot: usize| {
            let (from, to) = heights[self.slots[slot].rank];
            (from + to - self.slots[slot].size.1) / 2.0
        };
        let bottom_of = |slot: usize| top_of(slot) + self.slots[slot].size.1;
        let mut right = self.slots.iter().map(|slot| slot.x + slot.size.0 / 2.0).fold(0.0, f64::max);
        let mut drawn = Vec::new();
        for (i, (chain, &(from, to))) in self.chains.iter().zip(lines).enumerate() {
            if from == to {
                let (x, y) = (self.slots[from].x + self.slots[from].size.0 / 2.0, bottom_of(from));
                let (out, above) = (x + PORTS, top_of(from) + 6.0);
                right = right.max(out);
                drawn.push(vec![(x, y - 6.0), (out, y - 6.0), (out, above), (x, above)]);
                continue;
            }
            if chain.is_empty() {
                right += PORTS;
                let side = |slot: usize| self.slots[slot].x + self.slots[slot].size.0 / 2.0;
                let (below, above) = (bottom_of(from) - 6.0, top_of(to) + 6.0);
                drawn.push(vec![(side(from), below), (right, below), (right, above), (side(to), above)]);
                continue;
            }
            let (start, end) = (self.port(i, true), self.port(i, false));
            let mut line = vec![(start, bottom_of(from))];
            let mut here = (start, heights[self.slots[from].rank].1);
            line.push(here);
            for &slot in &chain[1..] {
                let (top, bottom) = heights[self.slots[slot].rank];
                // A line comes to its end straight, where its arrow is.
                let (x, straight) = if slot == to { (end, STRAIGHT) } else { (self.slots[slot].x, 0.0) };
                line.extend(bent(here, (x, top - straight)));
                here = (x, if slot == to { top_of(to) } else { bottom });
                line.push(here);
            }
            drawn.push(line);
        }
        let boxes = (0..boxes).map(|slot| (self.slots[slot].x - self.slots[slot].size.0 / 2.0, top_of(slot))).collect();
        Layout { boxes, lines: drawn, size: (right, heights.last().map_or(0.0, |last| last.1)) }
    }
}

/// How many ranks all lines together pass.
pub(crate) fn passed(count: usize, lines: &[(usize, usize)]) -> usize {
    let ranks = ranks(count, lines);
    lines.iter().map(|&(from, to)| ranks[to].saturating_sub(ranks[from])).sum()
}

/// The rank of each box: below all that lines come from; of one that none comes to, above those that its own go to.
fn ranks(count: usize, lines: &[(usize, usize)]) -> Vec<usize> {
    let (mut ranks, mut lines) = (vec![0; count], lines.to_vec());
    lines.retain(|(from, to)| from < to);
    lines.sort_unstable_by_key(|line| line.1);
    for &(from, to) in &lines {
        ranks[to] = ranks[to].max(ranks[from] + 1);
    }
    let (mut is_source, mut next) = (vec![true; count], vec![usize::MAX; count]);
    for &(from, to) in &lines {
        is_source[to] = false;
        next[from] = next[from].min(ranks[to]);
    }
    for node in (0..count).filter(|&node| is_source[node] && next[node] < usize::MAX) {
        ranks[node] = next[node] - 1;
    }
    ranks
}

/// Places as near as can be to those wanted, in this order and without overlap: the least squares, by pooling neighbours that
/// would be too near.
fn apart(wanted: &[f64], widths: &[f64]) -> Vec<f64> {
    let mut offsets = vec![0.0; wanted.len()];
    for i in 1..wanted.len() {
        offsets[i] = offsets[i - 1] + (widths[i - 1] + widths[i]) / 2.0 + BESIDE;
    }
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for (wanted, offset) in wanted.iter().zip(&offsets) {
        pools.push((wanted - offset, 1));
        while let [.., (a, n), (b, m)] = pools[..] {
            if a / n as f64 <= b / m as f64 {
                break;
            }
            pools.truncate(pools.len() - 2);
            pools.push((a + b, n + m));
        }
    }
    let pooled = pools.into_iter().flat_map(|(sum, count)| std::iter::repeat_n(sum / count as f64, count));
    pooled.zip(offsets).map(|(place, offset)| place + offset).collect()
}

/// A line that leaves one point downwards and comes to the other one downwards.
fn bent((x0, y0): Point, (x1, y1): Point) -> Vec<Point> {
    const POINTS: usize = 16;
    if (x1 - x0).abs() < 0.5 {
        return vec![(x1, y1)];
    }
    let middle = f64::midpoint(y0, y1);
    let at = |i: usize| {
        let (t, s) = (i as f64 / POINTS as f64, 1.0 - i as f64 / POINTS as f64);
        let of =
            |a: f64, b: f64, c: f64, d: f64| a * s * s * s + 3.0 * b * s * s * t + 3.0 * c * s * t * t + d * t * t * t;
        (of(x0, x0, x1, x1), of(y0, middle, middle, y1))
    };
    (1..=POINTS).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: Point = (100.0, 40.0);

    /// Whether a line goes through a box that it does not end at.
    fn touches(layout: &Layout, line: usize, boxes: &[usize]) -> bool {
        let inside = |&(x, y): &Point| {
            let hit = |&b: &usize| {
                let (left, top) = layout.boxes[b];
                x > left && x < left + BOX.0 && y > top && y < top + BOX.1
            };
            boxes.iter().any(hit)
        };
        layout.lines[line].iter().any(inside)
    }

    #[test]
    fn a_chain_is_straight_and_a_skip_passes_beside_it() {
        let lines = [(0, 1), (1, 2), (2, 3), (0, 3)];
        let layout = layered(&[BOX; 4], &lines);
        let x: Vec<f64> = layout.boxes.iter().map(|b| b.0.round()).collect();
        assert!(x.iter().all(|&other| (other - x[0]).abs() <= 12.0), "{x:?}");
        assert!(layout.boxes.windows(2).all(|pair| pair[0].1 + BOX.1 < pair[1].1));
        assert!(!touches(&layout, 3, &[1, 2]));
    }

    #[test]
    fn boxes_do_not_overlap_and_lines_do_not_cross_where_they_need_not() {
        // Two inputs whose branches would cross in the order in which they are named.
        let lines = [(0, 3), (1, 2), (2, 4), (3, 4), (2, 5), (3, 5)];
        let slots = {
            let mut slots = Slots::new(&[BOX; 6], &lines);
            slots.order();
            slots
        };
        assert_eq!(slots.crossings(), 1);
        let layout = layered(&[BOX; 6], &lines);
        for (i, a) in layout.boxes.iter().enumerate() {
            for b in &layout.boxes[..i] {
                assert!((a.0 - b.0).abs() >= BOX.0 || (a.1 - b.1).abs() >= BOX.1, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn a_layer_that_is_called_again_gets_a_line_back_and_an_input_stands_near_what_reads_it() {
        let layout = layered(&[BOX; 5], &[(0, 1), (1, 2), (2, 1), (2, 4), (3, 4), (2, 2)]);
        assert!(layout.lines[2].iter().any(|point| point.0 > layout.boxes[1].0 + BOX.0));
        assert_eq!(layout.lines[5].len(), 4, "a layer that reads itself has a line from its side to its side");
        assert!(
            (layout.boxes[3].1 - layout.boxes[2].1).abs() < 1.0,
            "the late input stands in the rank above its reader"
        );
        assert!(layout.size.0 >= layout.lines.iter().flatten().map(|point| point.0).fold(0.0, f64::max));
    }
}
