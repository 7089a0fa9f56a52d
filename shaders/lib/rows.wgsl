// What softmax, its logarithm and cross-entropy know of a row x: best, the first c with the largest x[c] (or the first NaN);
// most = x[best]; others = sum over c != best of exp(x[c] - most). The largest is left out, since its term is 1: near
// certainty the others' sum would be lost beside it.

struct Stat {
    best: u32,
    most: f32,
    others: f32,
}

// `best` of no numbers.
const NONE: u32 = 0xffffffffu;

fn merge(a: Stat, b: Stat) -> Stat {
    if b.best == NONE {
        return a;
    }
    if a.best == NONE {
        return b;
    }
    let second = displaces(b.most, a.most) || (!displaces(a.most, b.most) && b.best < a.best);
    var row = a;
    var less = b;
    if second {
        row = b;
        less = a;
    }
    // Nothing but -infinity has no share beside a larger number.
    if !(less.most < -0x1.fffffep+127f && row.most > less.most) {
        row.others += (less.others + 1.0) * exp(less.most - row.most);
    }
    return row;
}

fn row_of_numbers(s: Share) -> Stat {
    if s.start >= s.end {
        return Stat(NONE, 0.0, 0.0);
    }
    var best = s.start;
    var most = x[place(s, best)];
    for (var k = s.start + s.step; k < s.end; k += s.step) {
        let candidate = x[place(s, k)];
        if displaces(candidate, most) {
            best = k;
            most = candidate;
        }
    }
    var others = 0.0;
    for (var head = s.start; head < s.end; head += BLOCK * s.step) {
        var block = 0.0;
        let end = block_end(s, head);
        for (var k = head; k < end; k += s.step) {
            block += select(exp(x[place(s, k)] - most), 0.0, k == best);
        }
        others += block;
    }
    return Stat(best, most, others);
}

// A part leaves its best, counted from its first k, where f32 is exact; its most; its others.
fn row_of_parts(s: Share) -> Stat {
    var row = Stat(NONE, 0.0, 0.0);
    for (var part = s.start; part < s.end; part += s.step) {
        let at = 3u * place(s, part);
        row = merge(row, Stat(part * params.span + u32(parts[at]), parts[at + 1u], parts[at + 2u]));
    }
    return row;
}

// What is known of a whole row by one lane.
fn row_of(s: Share) -> Stat {
    if PARTED {
        return row_of_parts(parts_of(s));
    }
    return row_of_numbers(s);
}

// The sum of exp(x[c] - most) over all c: not a number where the largest is infinite.
fn total_of(s: Share, row: Stat) -> f32 {
    return row.others + exp(x[place(s, row.best)] - row.most);
}
