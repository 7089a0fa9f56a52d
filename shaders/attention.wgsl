// y[t] = sum over j of exp(s[t, j] - most) v[j] / sum over j of exp(s[t, j] - most), with s as lib/attention.wgsl has it
//
// An invocation makes COLUMNS columns of a row of y. It goes along the keys once: where a score is larger than all before, what
// was added up by then is multiplied by exp(last most - most). A launch goes along the keys from `first` to `end`; where others
// follow it leaves sums in y, and most and the sum of exponentials in `left`. The last divides, and leaves the two in `stats`.

override LAST: bool = true;

@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> stats: array<f32>;
@group(0) @binding(6) var<storage, read_write> left: array<f32>;

fn kept(row: u32, column: u32) -> vec4<f32> {
    let i = four(row, VALUE, column);
    return vec4(y[i.x], y[i.y], y[i.z], y[i.w]);
}

fn keep(row: u32, column: u32, numbers: vec4<f32>) {
    let at = row * VALUE + column;
    if column < VALUE {
        y[at] = numbers.x;
    }
    if column + 1u < VALUE {
        y[at + 1u] = numbers.y;
    }
    if column + 2u < VALUE {
        y[at + 2u] = numbers.z;
    }
    if column + 3u < VALUE {
        y[at + 3u] = numbers.w;
    }
}

@compute @workgroup_size(WIDTH)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let chunks = (VALUE + COLUMNS - 1u) / COLUMNS;
    let row = i / chunks;
    let column = i % chunks * COLUMNS;
    let head = row % params.heads;
    let t = row / params.heads % params.queries;
    let sample = row / params.heads / params.queries;
    let group = head / (params.heads / params.groups);
    var most = LEAST;
    var total = 0.0;
    var sums = zeros();
    if params.first > 0u {
        most = left[2u * i];
        total = left[2u * i + 1u];
        sums = Sixteen(kept(row, column), kept(row, column + 4u), kept(row, column + 8u), kept(row, column + 12u));
    }
    let own = head_of_q(row);
    let places = places_of(t, false);
    var j = places.first;
    let rows = sample * params.keys * params.groups + group;
    let end = rows + places.end * params.groups;
    for (var key = rows + places.first * params.groups; key < end; key += params.groups) {
        if has_part(t, j) {
            var s = LOW;
            if counts(sample, head, t, j) {
                s = answer(own, false, row, key);
            }
            // Of a NaN among the two, most is either; s - most is one.
            let next = max(most, s);
            let before = exp(most - next);
            let weight = exp(s - next);
            most = next;
            total = total * before + weight;
            sums.a = sums.a * before + weight * v_of(key, column);
            sums.b = sums.b * before + weight * v_of(key, column + 4u);
            sums.c = sums.c * before + weight * v_of(key, column + 8u);
            sums.d = sums.d * before + weight * v_of(key, column + 12u);
        }
        j++;
    }
    var share = 1.0;
    if LAST {
        share = total;
        if column == 0u {
            stats[2u * row] = most;
            stats[2u * row + 1u] = total;
        }
    } else {
        left[2u * i] = most;
        left[2u * i + 1u] = total;
    }
    keep(row, column, sums.a / share);
    keep(row, column + 4u, sums.b / share);
    keep(row, column + 8u, sums.c / share);
    keep(row, column + 12u, sums.d / share);
}
