# Read by the scripts beside it. SHARE=0.004 rehearses them on few media and in few minutes; in a copy of the repository,
# since they fill its pages.
SHARE=${SHARE:-1}

# COUNT LEAST: a whole number, of which SHARE is taken but never less than LEAST.
count() { python -c "print(max($2, round($1 * $SHARE)))"; }

# NUMBER: of which SHARE is taken.
share() { python -c "print($1 * $SHARE)"; }
