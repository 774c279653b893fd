// The two-layer network that equals a linear network of any depth: a weighted sum of weighted sums is
// one weighted sum.

// Return its weights, in one matrix [[w], [w] …]: the product of the matrices in `weights`.
export function collapse(weights) {
  return [weights.reduce((product, matrix) => product.map((row) =>
    matrix[0].map((_, j) => row.reduce((total, value, i) => total + value * matrix[i][j], 0))))];
}
