"""Object detection: Faster-RCNN and the box regressors that the paper compares on it (Appendix C)."""
