"""λ̂ along training: curves of comparable measurements, and the stages in them."""
