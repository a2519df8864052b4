"""Learning coefficients by algebra: polynomials to (λ, m), with a certificate. No floats, no sampler."""
