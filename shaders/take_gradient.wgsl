// dx[r, c] = sum of dy[j, c] over all j with indices[j] = r, in order of j. Rows of `width`.
//
// Launches of one node, which hand each other `scratch`. It holds twice `count` indices and the positions j that they come
// from, then where each row's pairs begin, then sums:
//   sort_blocks   sorts the pairs of each block of BLOCK by index, those of one index by position     one pair an invocation
//   merge         makes one sorted run of WAYS neighbours, `run` pairs long each                      one pair an invocation
//   find_rows     finds the first pair of each row among all, then sorted                             one row an invocation
//   add_blocks    adds up each block of BLOCK pairs of one index, or BLOCK sums of such blocks        one sum an invocation
//   gradient      adds up the pairs of each row: sums of whole blocks, and what lies before and behind them
//                                                                                                     one element an invocation
// No order follows from anything but the indices, and nobody adds to a number that another owns: two runs give the same bits.
// An index that is no row is sorted behind all rows, where nobody looks.

struct Params {
    n: u32,
    count: u32,
    rows: u32,
    width: u32,
    // Where what the launch reads begins in `scratch`, and what it writes.
    read: u32,
    write: u32,
    run: u32,
    // Where the sums of the first level begin, those of each level behind the last; how many levels there are, or which it is.
    sums: u32,
    levels: u32,
}

const BLOCK: u32 = 64u;
const WAYS: u32 = 4u;
// A level that has no more than these is added up by the row's owner.
const FEW: u32 = 256u;

@group(0) @binding(0) var<storage, read_write> scratch: array<u32>;
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WIDTH)
fn sort_blocks(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let first = i / BLOCK * BLOCK;
    let index = indices[i];
    var at = first;
    for (var k = 0u; k < BLOCK; k++) {
        let j = first + k;
        let other = indices[min(j, params.count - 1u)];
        at += select(0u, 1u, j < params.count && (other < index || (other == index && j < i)));
    }
    scratch[params.write + at] = index;
    scratch[params.write + params.count + at] = i;
}

// The first of the sorted indices first .. end-1 that is larger than `index`, or, where `its_own` is false, no smaller.
fn search(first: u32, end: u32, index: u32, its_own: bool) -> u32 {
    var low = first;
    var high = end;
    for (var step = 0u; step < 32u; step++) {
        if low >= high {
            break;
        }
        let middle = low + (high - low) / 2u;
        let other = scratch[params.read + middle];
        if other < index || (its_own && other == index) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return low;
}

@compute @workgroup_size(WIDTH)
fn merge(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let run = i / params.run;
    let first_run = run / WAYS * WAYS;
    let index = scratch[params.read + i];
    // Behind what comes before it in its own run and in each neighbour: of equal ones those of the earlier run.
    var at = first_run * params.run + i % params.run;
    for (var k = 0u; k < WAYS; k++) {
        let other = first_run + k;
        if other != run {
            let first = min(other * params.run, params.count);
            at += search(first, min(first + params.run, params.count), index, other < run) - first;
        }
    }
    scratch[params.write + at] = index;
    scratch[params.write + params.count + at] = scratch[params.read + params.count + i];
}

@compute @workgroup_size(WIDTH)
fn find_rows(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i < params.n {
        // Bounded by more than a uniform: see docs/rejected.md on what lavapipe does with loops that are not.
        scratch[params.write + i] = search(0u, min(params.count, arrayLength(&scratch)), i, false);
    }
}

// What number `at` of a level has in a column: a row of dy, or a sum of a block of the level before, where those begin at `sums`.
fn item(level: u32, sums: u32, at: u32, column: u32) -> f32 {
    if level == 0u {
        return dy[scratch[params.read + params.count + at] * params.width + column];
    }
    return bitcast<f32>(scratch[sums + at * params.width + column]);
}

fn add(level: u32, sums: u32, first: u32, end: u32, column: u32) -> f32 {
    var total = 0.0;
    for (var k = 0u; k < FEW; k++) {
        if first + k >= end {
            break;
        }
        total += item(level, sums, first + k, column);
    }
    return total;
}

// Level `levels` of the sums, from the level before, whose own begin at `sums`. `run` pairs make one. A block whose pairs
// have several indices is left: no row looks at its sum.
@compute @workgroup_size(WIDTH)
fn add_blocks(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let block = i / params.width;
    let first = params.read + block * params.run;
    if scratch[first] == scratch[first + params.run - 1u] && scratch[first] < params.rows {
        let total = add(params.levels - 1u, params.sums, block * BLOCK, (block + 1u) * BLOCK, i % params.width);
        scratch[params.write + i] = bitcast<u32>(total);
    }
}

@compute @workgroup_size(WIDTH)
fn gradient(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let column = i % params.width;
    var first = scratch[params.write + i / params.width];
    var end = scratch[params.write + i / params.width + 1u];
    var sums = params.sums;
    var of_level = params.count;
    var total = 0.0;
    for (var level = 0u; level < 6u; level++) {
        let first_block = (first + BLOCK - 1u) / BLOCK;
        let end_block = end / BLOCK;
        if level == params.levels || first_block >= end_block {
            dx[i] = total + add(level, sums, first, end, column);
            return;
        }
        total += add(level, sums, first, first_block * BLOCK, column);
        total += add(level, sums, end_block * BLOCK, end, column);
        if level > 0u {
            sums += of_level * params.width;
        }
        first = first_block;
        end = end_block;
        of_level /= BLOCK;
    }
}
