// The index of an invocation in a one-dimensional grid that was folded to two dimensions:
// rows of `workgroups.x` workgroups of WIDTH invocations, one row after the other.

const WIDTH: u32 = 64u;

fn grid_index(id: vec3<u32>, workgroups: vec3<u32>) -> u32 {
    return id.y * (workgroups.x * WIDTH) + id.x;
}
