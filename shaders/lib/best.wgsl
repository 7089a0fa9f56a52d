// best = the first k < n with the largest (MIN: smallest) x[o, k, i], or where there is a NaN, with the first of those.

override MIN: bool = false;

struct Stat {
    best: u32,
    value: f32,
}

// `best` of no numbers.
const NONE: u32 = 0xffffffffu;

fn goes_before(a: f32, b: f32) -> bool {
    return displaces(select(a, -a, MIN), select(b, -b, MIN));
}

fn merge(a: Stat, b: Stat) -> Stat {
    let ahead = goes_before(b.value, a.value) || (!goes_before(a.value, b.value) && b.best < a.best);
    if b.best != NONE && (a.best == NONE || ahead) {
        return b;
    }
    return a;
}

fn best_of_numbers(s: Share) -> Stat {
    if s.start >= s.end {
        return Stat(NONE, 0.0);
    }
    var best = Stat(s.start, x[place(s, s.start)]);
    for (var k = s.start + s.step; k < s.end; k += s.step) {
        let value = x[place(s, k)];
        if goes_before(value, best.value) {
            best = Stat(k, value);
        }
    }
    return best;
}

// A part leaves where its best stands, counted from its first k, where f32 is exact.
fn best_of(s: Share) -> Stat {
    if !PARTED {
        return best_of_numbers(s);
    }
    let p = parts_of(s);
    var best = Stat(NONE, 0.0);
    for (var part = p.start; part < p.end; part += p.step) {
        let k = part * params.span + u32(parts[place(p, part)]);
        best = merge(best, Stat(k, x[place(s, k)]));
    }
    return best;
}
