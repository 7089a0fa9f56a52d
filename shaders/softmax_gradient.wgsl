// dx[r, c] = of_y[r, c] * (x[r, c] - sum over c of x[r, c] * of_y[r, c]), where x is dy: of softmax
// dx[r, c] = x[r, c] - exp(of_y[r, c]) * sum over c of x[r, c]: of its logarithm
// The sums over the parts of a long row are left in y (entries `parts`). An invocation makes a row, or a part of it.
// Entries `_shared`: a workgroup (lib/reduction.wgsl).

override LOG: bool = false;

@group(0) @binding(3) var<storage, read> of_y: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;

alias Stat = f32;

fn merge(a: Stat, b: Stat) -> Stat {
    return a + b;
}

fn total_of_numbers(s: Share) -> f32 {
    var total = 0.0;
    for (var head = s.start; head < s.end; head += BLOCK * s.step) {
        var block = 0.0;
        let end = block_end(s, head);
        for (var k = head; k < end; k += s.step) {
            let at = place(s, k);
            block += x[at] * select(of_y[at], 1.0, LOG);
        }
        total += block;
    }
    return total;
}

fn total_of(s: Share) -> f32 {
    if !PARTED {
        return total_of_numbers(s);
    }
    let p = parts_of(s);
    var total = 0.0;
    for (var head = p.start; head < p.end; head += BLOCK * p.step) {
        var block = 0.0;
        let end = block_end(p, head);
        for (var part = head; part < end; part += p.step) {
            block += parts[place(p, part)];
        }
        total += block;
    }
    return total;
}

@compute @workgroup_size(WIDTH)
fn parts_alone(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let unit = grid_index(id, workgroups);
    if unit < params.units {
        y[unit] = total_of_numbers(share_of(unit, 0u, 1u));
    }
}

@compute @workgroup_size(GROUP)
fn parts_shared(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let seat = seat_of(group, groups, index, params.inner);
    let total = merge_all(total_of_numbers(share_of(seat.unit, seat.lane, SHARE)), seat);
    if seat.lane == 0u && seat.unit < params.units {
        y[seat.unit] = total;
    }
}

fn gradient_of(s: Share, total: f32) {
    for (var k = s.start; k < s.end; k += s.step) {
        let at = place(s, k);
        if LOG {
            dx[at] = x[at] - exp(of_y[at]) * total;
        } else {
            dx[at] = of_y[at] * (x[at] - total);
        }
    }
}

@compute @workgroup_size(WIDTH)
fn gradient(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let unit = grid_index(id, workgroups);
    if unit < params.units {
        let s = share_of(unit, 0u, 1u);
        gradient_of(s, total_of(s));
    }
}

@compute @workgroup_size(GROUP)
fn gradient_shared(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let seat = seat_of(group, groups, index, params.inner);
    let s = share_of(seat.unit, seat.lane, SHARE);
    gradient_of(s, merge_all(total_of(s), seat));
}
