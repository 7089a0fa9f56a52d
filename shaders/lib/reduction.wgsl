// y[o, i] = reduction of x[o, k, i] over k < n, x: (outer, n, inner): how kernels share that out.
//
// A unit is one part, at most `span` neighbours along k, of one output. Units are numbered as (outer, parts, inner), so that what
// the units of a launch give is itself an x, whose n is `parts`: a second launch reduces it to y. On software adapters an
// invocation does a unit alone. On GPUs SHARE invocations of a workgroup share one: each takes every SHARE-th k, and
// `merge_all` puts together what they have, by a tree. The order follows from the extents alone.
//
// A kernel declares `Stat`, what an invocation keeps of its numbers, and `merge(a, b)`, which is given any two Stats. A launch
// of which something must be left for the next writes it to y; in the next one that is `parts`.

override SHARE: u32 = 1u;

// Invocations of a workgroup in which units are shared.
const GROUP: u32 = 256u;
// Numbers that are added up before they are added to a larger sum: one long sum would lose digits.
const BLOCK: u32 = 32u;

struct Params {
    units: u32,
    n: u32,
    inner: u32,
    span: u32,
    parts: u32,
    // What a sum is multiplied by.
    scale: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<storage, read> parts: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

// Whether there are parts, which another launch has left; else x is bound in their place.
override PARTED: bool = false;
// Whether a launch over parts has a unit for each output, not for each part.
override WHOLE: bool = false;

// What one invocation does of a unit: k = start, start + step, ... below end.
struct Share {
    output: u32,
    part: u32,
    // Where k = 0 stands, and how far the next one is.
    base: u32,
    inner: u32,
    // The unit's first k.
    first: u32,
    start: u32,
    end: u32,
    step: u32,
}

// The share of one lane of several. There is nothing to do in a unit beyond the last.
fn share_of(unit: u32, lane: u32, lanes: u32) -> Share {
    let p = params;
    let column = unit % p.inner;
    let row = unit / p.inner;
    let part = select(row % p.parts, 0u, WHOLE);
    let outer = select(row / p.parts, row, WHOLE);
    let first = part * p.span;
    let end = select(0u, min(first + p.span, p.n), unit < p.units);
    return Share(outer * p.inner + column, part, outer * p.n * p.inner + column, p.inner, first, first + lane, end, lanes);
}

// The parts of an output, as they lie in what the first launch has left: k counts them.
fn parts_of(s: Share) -> Share {
    let p = params;
    let outer = s.output / p.inner;
    let lane = s.start - s.first;
    let end = select(0u, p.parts, s.end > 0u);
    return Share(s.output, 0u, outer * p.parts * p.inner + s.output % p.inner, p.inner, 0u, lane, end, s.step);
}

fn place(s: Share, k: u32) -> u32 {
    return s.base + k * s.inner;
}

// The end of the block of numbers that begins at k.
fn block_end(s: Share, k: u32) -> u32 {
    return min(s.end, k + BLOCK * s.step);
}

// Which unit an invocation shares, and as which lane of it: neighbours read neighbouring numbers.
struct Seat {
    unit: u32,
    lane: u32,
    // Of its Stat in the workgroup's.
    place: u32,
}

fn seat_of(group: vec3<u32>, groups: vec3<u32>, index: u32, inner: u32) -> Seat {
    let units = GROUP / SHARE;
    let along = inner == 1u;
    let slot = select(index % units, index / SHARE, along);
    let lane = select(index / units, index % SHARE, along);
    return Seat((group.y * groups.x + group.x) * units + slot, lane, slot * SHARE + lane);
}

var<workgroup> stats: array<Stat, GROUP>;

fn merge_all(own: Stat, seat: Seat) -> Stat {
    stats[seat.place] = own;
    workgroupBarrier();
    for (var half = SHARE / 2u; half > 0u; half /= 2u) {
        if seat.lane < half {
            stats[seat.place] = merge(stats[seat.place], stats[seat.place + half]);
        }
        workgroupBarrier();
    }
    return stats[seat.place - seat.lane];
}
