def write_clips(job, renderer): return []
