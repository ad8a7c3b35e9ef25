"""Exercises that say which mistake was made.

The engine, one idea a file:

    engine    what an exercise is, and the check that runs it
    cells     the stub's and the solution's source
    probe     runs an answer on the cases, returns plain data
    judge     holds plain data to the expected, names the difference
    trial     puts a student's test on trial: does it catch wrong implementations?
    diagnose  from outputs to one of four states, and to the mistake that was made
    ledger    attempts and predictions in this kernel
    render    boxes, reports and hints as text and HTML
    quiz      questions with an answer to every choice
    mutants   small wrong versions of a solution, made by machine
    audit     what every exercise promises, checked on its bank of wrong answers

The exercises, one lesson a file:

    start     00_start
    sift      01_sift
    surf      02_surf
    brief     03_brief
    matching  04_matching
    world     05_world
    vit       06_vit
    simclr    07_simclr
    dino      08_dino
    mae       09_mae
    language  10_language
    language_nucleus  its implementations of top-p, right and wrong
    language_quiz  its questions
    clip      11_clip
    blip      12_blip
    blip_uses  one text for three uses
    blip_targets  soft targets
    blip_trial  a test of them
    blip_contrast  the slow encoder, its queue and its opinion
    blip_negatives  which false text a picture is given
    blip_captions  what the words cost
    blip_filter  which captions remain
    blip_quiz  its questions
    llava     13_llava
    llava_splice  a picture inside a text
    llava_tower  which of the eye's tokens are read
    llava_counted  whose words count
    llava_masks  its masks, right and wrong
    llava_trial  a test of them
    llava_loss  what an answer costs
    llava_blindfold  without its picture
    llava_prompts  on which side the pads stand
    llava_quiz  its questions
"""
