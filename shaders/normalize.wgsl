// normal[o, k, i] = (x[o, k, i] - mean[o, i]) / sqrt(variance[o, i] + EPSILON), mean and variance over k        entries `normalize`
// x, normal: (outer, n, inner), mean, variance: (outer, inner). Of each part its count, sum and sum of squared distances from
// its mean are left in y (entries `parts`). An invocation makes what belongs to one unit; entries `_shared`: a workgroup
// (lib/reduction.wgsl).

override EPSILON: f32 = 0.001;

@group(0) @binding(3) var<storage, read_write> normal: array<f32>;
@group(0) @binding(4) var<storage, read_write> mean: array<f32>;
@group(0) @binding(5) var<storage, read_write> variance: array<f32>;

// How many numbers, their sum, and the sum of their squared distances from their mean.
struct Stat {
    count: f32,
    total: f32,
    squares: f32,
}

fn mean_of(s: Stat) -> f32 {
    return s.total / max(s.count, 1.0);
}

// Chan's formula: nothing is lost where the mean is far from zero.
fn merge(a: Stat, b: Stat) -> Stat {
    let count = a.count + b.count;
    let share = b.count / max(count, 1.0);
    let apart = mean_of(b) - mean_of(a);
    return Stat(count, a.total + b.total, a.squares + b.squares + apart * apart * a.count * share);
}

// Each number is read once. The squares of a block are about the mean of what came before it, those of the first block about its
// first number, so that few digits cancel.
fn moments_of_numbers(s: Share) -> Stat {
    var moments = Stat(0.0, 0.0, 0.0);
    if s.start >= s.end {
        return moments;
    }
    var about = x[place(s, s.start)];
    for (var head = s.start; head < s.end; head += BLOCK * s.step) {
        var block = Stat(0.0, 0.0, 0.0);
        var shift = 0.0;
        let end = block_end(s, head);
        for (var k = head; k < end; k += s.step) {
            let number = x[place(s, k)];
            let apart = number - about;
            block.count += 1.0;
            block.total += number;
            block.squares += apart * apart;
            shift += apart;
        }
        block.squares -= shift * shift / block.count;
        moments = merge(moments, block);
        about = mean_of(moments);
    }
    return moments;
}

fn moments_of(s: Share) -> Stat {
    if !PARTED {
        return moments_of_numbers(s);
    }
    let p = parts_of(s);
    var moments = Stat(0.0, 0.0, 0.0);
    for (var part = p.start; part < p.end; part += p.step) {
        let at = 3u * place(p, part);
        moments = merge(moments, Stat(parts[at], parts[at + 1u], parts[at + 2u]));
    }
    return moments;
}

fn keep_part(unit: u32, moments: Stat) {
    y[3u * unit] = moments.count;
    y[3u * unit + 1u] = moments.total;
    y[3u * unit + 2u] = moments.squares;
}

@compute @workgroup_size(WIDTH)
fn parts_alone(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let unit = grid_index(id, workgroups);
    if unit < params.units {
        keep_part(unit, moments_of_numbers(share_of(unit, 0u, 1u)));
    }
}

@compute @workgroup_size(GROUP)
fn parts_shared(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let seat = seat_of(group, groups, index, params.inner);
    let moments = merge_all(moments_of_numbers(share_of(seat.unit, seat.lane, SHARE)), seat);
    if seat.lane == 0u && seat.unit < params.units {
        keep_part(seat.unit, moments);
    }
}

fn store(s: Share, moments: Stat) {
    let spread = moments.squares / f32(params.n);
    let divisor = sqrt(spread + EPSILON);
    let center = mean_of(moments);
    // The first lane of the first part.
    if s.start == 0u && s.end > 0u {
        mean[s.output] = center;
        variance[s.output] = spread;
    }
    for (var k = s.start; k < s.end; k += s.step) {
        let at = place(s, k);
        normal[at] = (x[at] - center) / divisor;
    }
}

@compute @workgroup_size(WIDTH)
fn normalize(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let unit = grid_index(id, workgroups);
    if unit < params.units {
        let s = share_of(unit, 0u, 1u);
        store(s, moments_of(s));
    }
}

@compute @workgroup_size(GROUP)
fn normalize_shared(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let seat = seat_of(group, groups, index, params.inner);
    let s = share_of(seat.unit, seat.lane, SHARE);
    store(s, merge_all(moments_of(s), seat));
}
