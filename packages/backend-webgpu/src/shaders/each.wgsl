// One invocation for each of step.count outputs, which `compute` of the shader's own file makes.
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let n = id.x + id.y * groups.x * 64u;
  if (n < step.count) {
    compute(n);
  }
}
