// y[p, 0, i] = how many j of part p have t[j] != 0 and a score x[j] above threshold i, y[p, 1, i] = how many have t[j] = 0 and
// one. Of `inner` thresholds the first is below every score, the last above, those between at i / (inner - 1).
// An invocation looks through a part's scores for one threshold. Entry `_shared`: a workgroup (lib/reduction.wgsl).

@group(0) @binding(3) var<storage, read> t: array<f32>;

// Positive and negative samples.
alias Stat = vec2<f32>;

fn merge(a: Stat, b: Stat) -> Stat {
    return a + b;
}

// The threshold's number is the unit's column; scores have none.
fn counts_of(s: Share) -> Stat {
    let last = params.inner - 1u;
    let i = s.output;
    var counts = vec2<f32>(0.0);
    for (var j = s.start; j < s.end; j += s.step) {
        let above = x[j] * f32(last) > f32(i) && i < last;
        if i == 0u || above {
            let positive = t[j] != 0.0 || is_nan(t[j]);
            counts += select(vec2<f32>(0.0, 1.0), vec2<f32>(1.0, 0.0), positive);
        }
    }
    return counts;
}

fn store(s: Share, counts: Stat) {
    let at = 2u * s.part * params.inner + s.output;
    y[at] = counts.x;
    y[at + params.inner] = counts.y;
}

@compute @workgroup_size(WIDTH)
fn thresholds(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let unit = grid_index(id, workgroups);
    if unit < params.units {
        let s = share_of(unit, 0u, 1u);
        store(s, counts_of(s));
    }
}

@compute @workgroup_size(GROUP)
fn thresholds_shared(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let seat = seat_of(group, groups, index, params.inner);
    let s = share_of(seat.unit, seat.lane, SHARE);
    let counts = merge_all(counts_of(s), seat);
    if seat.lane == 0u && seat.unit < params.units {
        store(s, counts);
    }
}
