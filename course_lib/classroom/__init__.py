"""Assignments: handed out, checked by the student, handed in, judged without trusting anybody.

What a lecturer hands out and a student hands in:

assignment        what is asked, how many points it earns, what being late costs
secret            the lecturer's secret, from which hidden seeds and variants follow
roster            who is in the class, and what platforms call them
notebook          the student's notebook, built from an assignment's text
public            what a bundle holds of an exercise, and the check that runs on it
release           makes a bundle
bundle            reads one
checking          what is missing in a student's notebook, and what the public checks say
rehearsal         runs its cells and checks in a process of its own
handing_in        makes the one file that is handed in
commands_student  `course release`, `check` and `submit`

What a lecturer receives, and what becomes of it:

inbox             where submissions lie: trees, bulk downloads, loose files
naming            how platforms name files: whose each is, which is the newest
arrival           what a platform tells of them: when they came, whose they are
submission        one notebook, read with suspicion
answers           which cell answers which exercise
hidden            the seed of the hidden cases, fit to judge by
grading           a class: read, run, judged, written; may be stopped at any moment
marking           one submission: from outputs to marks
discreet          what may be repeated of a student's output
borrowed          answers that are the course's own
results           results as files
whole             files that are whole or not there
by_hand           written answers: sheets out, points in
tables            CSV in which nothing becomes a formula
statistics        difficulty, discrimination, common mistakes
similarity        answers that are built alike
pages             what all HTML pages share
reports           a student's feedback
class_page        the class at a glance
similarity_page   answers that are alike, side by side
exports           Canvas, Moodle, Gradescope, nbgrader
moodle            Moodle's worksheet, and the archive that gives feedback back
autograder        the archive that grades on Gradescope
import_into_nbgrader  the script that runs beside nbgrader
attention         what a lecturer should hear before the marks go out
writing           all of these after a grading
simulate          a class whose true marks are known
oracle            those marks, found without the judge
cell_sources      our own wrong answers as a student would type them
commands_grade    the commands grade and simulate

How strangers' code is run, and only run:

sandbox           the chain of commands around a worker, and what a submission may use
pool              warm workers: submissions in, plain data out
cluster           the same on several hosts, through dask.distributed
host              what runs on each of them
parcel            jobs and results as bytes between hosts
job               one submission on its way: what goes in, what came back
probes            what of an exercise goes into the sandbox: never its answer
wire              plain data as bytes, read without believing anything
returned          what came back, checked; what went wrong, in words
worker            in the sandbox: imports once, forks for each submission
isolate           a room of its own for each: processes, disk, network, limits
warden            counts seconds and memory, and cannot be killed from inside
desk              runs the cells as a notebook does, then tries each exercise
implementer       answers the calls of a student's test, and shows nothing else
"""
