"""What generalised proximal smoothing and oversampling smoothness are made of."""
