"""Speed, side by side with what else does the job."""
