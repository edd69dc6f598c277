"""`huelapse demo`: a small residual network trained on real data, recorded as it learns."""
