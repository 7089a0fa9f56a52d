// dv[j] = sum over t of p[t, j] dy[t], p[t, j] = exp(s[t, j] - most[t]) / total[t], with s as lib/attention.wgsl has it
// dq[t] = sum over j of ds[t, j] k[j], dk[j] = sum over t of ds[t, j] q[t], where a key counts
// ds[t, j] = scale p[t, j] (dy[t] . v[j] - dy[t] . y[t])
//
// Launches of one node. `rows` leaves for each row of y what its weights are made of: most, 1 / total, dy . y. Then an invocation
// makes COLUMNS columns of a row of dq (`queries`), dk (`keys`) or dv (`values`): it goes along what its row is paired with, from
// `first` to `end`, and adds to what a launch before it left there. Where heads share a group, each head has launches of its own.

// Whether a launch before this one has left a part of the sum.
override GOES_ON: bool = false;

@group(0) @binding(1) var<storage, read_write> row_stats: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx: array<f32>;
@group(0) @binding(3) var<storage, read> y: array<f32>;
@group(0) @binding(4) var<storage, read> stats: array<f32>;

// The four numbers of a row of dx from a column on.
fn add(row: u32, column: u32, width: u32, numbers: vec4<f32>) {
    let at = row * width + column;
    if column < width {
        dx[at] = select(0.0, dx[at], GOES_ON) + numbers.x;
    }
    if column + 1u < width {
        dx[at + 1u] = select(0.0, dx[at + 1u], GOES_ON) + numbers.y;
    }
    if column + 2u < width {
        dx[at + 2u] = select(0.0, dx[at + 2u], GOES_ON) + numbers.z;
    }
    if column + 3u < width {
        dx[at + 3u] = select(0.0, dx[at + 3u], GOES_ON) + numbers.w;
    }
}

fn add_all(row: u32, column: u32, width: u32, sums: Sixteen) {
    add(row, column, width, sums.a);
    add(row, column + 4u, width, sums.b);
    add(row, column + 8u, width, sums.c);
    add(row, column + 12u, width, sums.d);
}

fn dy_of(row: u32, column: u32) -> vec4<f32> {
    let i = four(row, VALUE, column);
    return vec4(dy[i.x], dy[i.y], dy[i.z], dy[i.w]);
}

fn y_of(row: u32, column: u32) -> vec4<f32> {
    let i = four(row, VALUE, column);
    return vec4(y[i.x], y[i.y], y[i.z], y[i.w]);
}

fn head_of_dy(row: u32) -> Sixteen {
    return Sixteen(dy_of(row, 0u), dy_of(row, 4u), dy_of(row, 8u), dy_of(row, 12u));
}

fn head_of_v(row: u32) -> Sixteen {
    return Sixteen(v_of(row, 0u), v_of(row, 4u), v_of(row, 8u), v_of(row, 12u));
}

@compute @workgroup_size(WIDTH)
fn rows(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let row = grid_index(id, workgroups);
    if row >= params.n {
        return;
    }
    // In the order of `slope`, from which it is subtracted: of a query that sees one key, whose y is v, nothing is left.
    var sums = vec4<f32>(0.0);
    for (var at = 0u; at < VALUE / 4u * 4u; at += 4u) {
        sums += dy_of(row, at) * y_of(row, at);
    }
    var sum = (sums.x + sums.y) + (sums.z + sums.w);
    for (var at = VALUE / 4u * 4u; at < VALUE; at++) {
        sum += dy[row * VALUE + at] * y[row * VALUE + at];
    }
    row_stats[3u * row] = stats[2u * row];
    row_stats[3u * row + 1u] = 1.0 / stats[2u * row + 1u];
    row_stats[3u * row + 2u] = sum;
}

struct Weight {
    p: f32,
    // Where the key does not count the score is a constant.
    counts: bool,
}

// What an invocation keeps of its own rows: of q and dy, or of k and v.
struct Own {
    is_key: bool,
    of_scores: Sixteen,
    of_slopes: Sixteen,
}

// A query's row and a key's, whose places are t and j.
fn weight_of(own: Own, sample: u32, head: u32, t: u32, j: u32, row: u32, key: u32) -> Weight {
    let most = row_stats[3u * row];
    let share = row_stats[3u * row + 1u];
    if !counts(sample, head, t, j) {
        return Weight(exp(LOW - most) * share, false);
    }
    return Weight(exp(answer(own.of_scores, own.is_key, row, key) - most) * share, true);
}

// Of the row that is not an invocation's own.
fn slope_other_of(own_is_key: bool, row: u32, key: u32, column: u32) -> vec4<f32> {
    if own_is_key {
        return dy_of(row, column);
    }
    return v_of(key, column);
}

// ds of a weight.
fn slope(own: Own, weight: Weight, row: u32, key: u32) -> f32 {
    if !weight.counts {
        return 0.0;
    }
    var sums = vec4<f32>(0.0);
    if VALUE >= 4u { sums += own.of_slopes.a * slope_other_of(own.is_key, row, key, 0u); }
    if VALUE >= 8u { sums += own.of_slopes.b * slope_other_of(own.is_key, row, key, 4u); }
    if VALUE >= 12u { sums += own.of_slopes.c * slope_other_of(own.is_key, row, key, 8u); }
    if VALUE >= 16u { sums += own.of_slopes.d * slope_other_of(own.is_key, row, key, 12u); }
    for (var at = COLUMNS; at < VALUE / 4u * 4u; at += 4u) {
        sums += dy_of(row, at) * v_of(key, at);
    }
    var sum = (sums.x + sums.y) + (sums.z + sums.w);
    for (var at = VALUE / 4u * 4u; at < VALUE; at++) {
        sum += dy[row * VALUE + at] * v[key * VALUE + at];
    }
    return params.scale * weight.p * (sum - row_stats[3u * row + 2u]);
}

@compute @workgroup_size(WIDTH)
fn queries(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let chunks = (KEY + COLUMNS - 1u) / COLUMNS;
    let row = i / chunks;
    let column = i % chunks * COLUMNS;
    let head = row % params.heads;
    let t = row / params.heads % params.queries;
    let sample = row / params.heads / params.queries;
    let first = sample * params.keys * params.groups + head / (params.heads / params.groups);
    let own = Own(false, head_of_q(row), head_of_dy(row));
    let places = places_of(t, false);
    var sums = zeros();
    var j = places.first;
    let end = first + places.end * params.groups;
    for (var key = first + places.first * params.groups; key < end; key += params.groups) {
        if has_part(t, j) {
            let ds = slope(own, weight_of(own, sample, head, t, j, row, key), row, key);
            sums.a += ds * k_of(key, column);
            sums.b += ds * k_of(key, column + 4u);
            sums.c += ds * k_of(key, column + 8u);
            sums.d += ds * k_of(key, column + 12u);
        }
        j++;
    }
    add_all(row, column, KEY, sums);
}

// The head's queries go along from a key's row.
struct Key {
    row: u32,
    column: u32,
    sample: u32,
    head: u32,
    j: u32,
    // The row of the head's first query.
    query: u32,
}

fn key_of(i: u32, width: u32) -> Key {
    let chunks = (width + COLUMNS - 1u) / COLUMNS;
    let row = i / chunks;
    let sample = row / params.groups / params.keys;
    let head = row % params.groups * (params.heads / params.groups) + params.member;
    let j = row / params.groups % params.keys;
    return Key(row, i % chunks * COLUMNS, sample, head, j, sample * params.queries * params.heads + head);
}

@compute @workgroup_size(WIDTH)
fn keys(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let key = key_of(i, KEY);
    let column = key.column;
    let own = Own(true, head_of_k(key.row), head_of_v(key.row));
    let places = places_of(key.j, true);
    var sums = zeros();
    var t = places.first;
    let end = key.query + places.end * params.heads;
    for (var row = key.query + places.first * params.heads; row < end; row += params.heads) {
        if has_part(t, key.j) {
            let ds = slope(own, weight_of(own, key.sample, key.head, t, key.j, row, key.row), row, key.row);
            sums.a += ds * q_of(row, column);
            sums.b += ds * q_of(row, column + 4u);
            sums.c += ds * q_of(row, column + 8u);
            sums.d += ds * q_of(row, column + 12u);
        }
        t++;
    }
    add_all(key.row, column, KEY, sums);
}

@compute @workgroup_size(WIDTH)
fn values(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let key = key_of(i, VALUE);
    let column = key.column;
    // No slope is asked for.
    let own = Own(true, head_of_k(key.row), zeros());
    let places = places_of(key.j, true);
    var sums = zeros();
    var t = places.first;
    let end = key.query + places.end * params.heads;
    for (var row = key.query + places.first * params.heads; row < end; row += params.heads) {
        if has_part(t, key.j) {
            let p = weight_of(own, key.sample, key.head, t, key.j, row, key.row).p;
            sums.a += p * dy_of(row, column);
            sums.b += p * dy_of(row, column + 4u);
            sums.c += p * dy_of(row, column + 8u);
            sums.d += p * dy_of(row, column + 12u);
        }
        t++;
    }
    add_all(key.row, column, VALUE, sums);
}
